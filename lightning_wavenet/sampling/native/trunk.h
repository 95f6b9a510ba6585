// Gated residual layers over rings of their inputs, and the sum of their skips.
#pragma once

#include <vector>

#include "buffer.h"
#include "packed.h"
#include "team.h"

// Channels are padded with zeros to multiples of LANES.
struct TrunkShape {
    int32_t layers, kernel_size, channels, gated, skip;
    int32_t shared_projection;
    int32_t local;       // channels of the local condition, or 0
    int32_t gate_terms;  // rows of constant gate terms: 1, or one a stream
};

// The local condition of some steps.
struct Conditions {
    const void* values;  // [rows, local] in the trunk's precision
    const int32_t* row;  // [streams, steps]: the row of a stream's step, never falling
    int steps;

    int32_t at(int stream, int step) const { return row[int64_t(stream) * steps + step]; }
};

template <class P>
class Trunk {
    using Value = typename P::Value;

public:
    // dilations: of the layers. past: the inputs of all layers that taps will still need, oldest first,
    // [reach of all layers, streams, channels].
    Trunk(Packed<P>& packed, const TrunkShape& shape, const int32_t* dilations, int streams, const float* past)
        : shape_(shape), streams_(streams) {
        for (int l = 0; l < shape.layers; l++) {
            Layer layer{};
            layer.dilation = dilations[l];
            layer.reach = (shape.kernel_size - 1) * dilations[l];
            layer.reach_before = reach_;
            reach_ += layer.reach;
            layer.dilated = packed.matrix(2 * shape.gated, shape.kernel_size * shape.channels);
            layer.projected = shape.shared_projection || l < shape.layers - 1;
            if (layer.projected) {
                layer.projection = packed.matrix(shape.channels, shape.gated);
                layer.projection_bias = packed.vector(shape.channels);
            }
            layers_.push_back(layer);
        }
        if (!shape.shared_projection) skip_ = packed.matrix(shape.skip, shape.layers * shape.gated);
        skip_bias_ = packed.vector(shape.skip);
        gate_terms_ = packed.vector(int64_t(shape.gate_terms) * gate_width());
        local_ = packed.matrix(shape.local ? gate_width() : 0, shape.local);

        allocate();
        for (int stream = 0; stream < streams; stream++)
            fixed_gates_.data()[stream] = gate_terms_ + (shape.gate_terms > 1 ? stream : 0) * gate_width();
        P::convert(past, ring_.data(), reach_ * streams_ * shape.channels);
    }

    // How many followers have something to do.
    int most_followers() const { return shape_.shared_projection ? 1 : skip_.panels(); }

    // Where the input layer writes the signal of streams, [channels] each.
    Rows<float> signal(int first) const { return signal_.rows(first, shape_.channels); }

    // Every member calls this at the beginning of every step.
    void take_conditions(const Conditions& conditions, int step, Member& member) {
        if (shape_.local && (step == 0 || run_out(conditions, member.team, step)))
            project_conditions(conditions, step, member);
    }

    // The leader's part of a step that does not depend on its signal: the past taps.
    void begin(const Conditions& conditions, const Team& team, int step) {
        find_first_gates(conditions, team, step);
        for (int l = 0; l < shape_.layers; l++) begin_gates(team, step, l);
    }

    // The leader's part that does.
    void lead(Team& team, int step) {
        const int streams = team.streams();
        const Rows<float> x = signal(team.first);
        // With a shared projection the leader sums the skips as it goes.
        if (shape_.shared_projection)
            for (int r = 0; r < streams; r++) std::copy_n(skip_bias_, shape_.skip, skips(team.first)[r]);
        for (int l = 0; l < shape_.layers; l++) {
            const Layer& layer = layers_[l];
            const Rows<Value> present = past(layer, step, 0, team.first);
            for (int r = 0; r < streams; r++) P::convert(x[r], present[r], shape_.channels);
            const Rows<float> sums = gates(l, team.first);
            layer.dilated.multiply(constant(present), sums, sums, streams,
                                   layer.dilated.inputs((shape_.kernel_size - 1) * shape_.channels, shape_.channels));
            for (int r = 0; r < streams; r++) gate(sums[r], z(l, team.first)[r]);
            if (layer.projected) project(team, layer, l, x);
            team.layers_done.store(int64_t(step) * shape_.layers + l + 1, std::memory_order_release);
        }
    }

    // A follower's panels of the skip sum of a step, as soon as the leader is so far.
    Rows<float> sum_skips(const Member& member, int step) {
        const Team& team = member.team;
        const int64_t before = int64_t(step) * shape_.layers;
        const Rows<float> sums = skips(team.first);
        if (!shape_.shared_projection) {
            // One product where the layers are done already, else one after every layer.
            const int stride = team.threads == 1 ? shape_.layers : 1;
            for (int l = 0; l < shape_.layers; l += stride) {
                wait_for(team.layers_done, before + l + stride);
                const auto x = constant(z(l, team.first));
                const Part part = member.part(skip_, l * shape_.gated, stride * shape_.gated);
                if (l > 0) skip_.multiply(x, sums, sums, team.streams(), part);
                else skip_.multiply(x, Shared{skip_bias_}, sums, team.streams(), part);
            }
        }
        wait_for(team.layers_done, before + shape_.layers);
        return sums;
    }

    // After some steps of all teams.
    void advance(int steps) { position_ += steps; }

    void keep(const int32_t* rows, int count) {
        const Buffer<Value> ring = std::move(ring_);
        const Buffer<const float*> fixed_gates = std::move(fixed_gates_);
        const int before = streams_;
        streams_ = count;
        allocate();
        for (int row = 0; row < count; row++) {
            fixed_gates_.data()[row] = fixed_gates.data()[rows[row]];
            for (int64_t slot = 0; slot < reach_; slot++)
                std::copy_n(ring.data() + (slot * before + rows[row]) * shape_.channels, shape_.channels,
                            ring_.data() + (slot * count + row) * shape_.channels);
        }
    }

private:
    // Rows of local conditions that are projected at once: of all streams of a team together and of one stream. They
    // are enough for a product, and few enough for the cache.
    static constexpr int TEAM_ROWS = 32, STREAM_ROWS = 16;

    struct Layer {
        int dilation, reach;
        int64_t reach_before;            // of the layers below: where its ring begins
        Matrix<P> dilated;               // of all taps, oldest first
        bool projected;
        Matrix<P> projection;
        const float* projection_bias;
    };

    void allocate() {
        const int64_t n = streams_, layers = shape_.layers;
        ring_ = Buffer<Value>(reach_ * n * shape_.channels);
        signal_ = Buffer<float>(n * shape_.channels);
        projected_ = Buffer<float>(n * shape_.channels);
        gates_ = Buffer<float>(layers * n * 2 * shape_.gated);
        fixed_gates_ = Buffer<const float*>(n);
        first_gates_ = Buffer<const float*>(n);
        terms_ = Buffer<float>(shape_.local ? n * STREAM_ROWS * gate_width() : 0);
        projected_from_ = Buffer<int32_t>(n);
        projected_to_ = Buffer<int32_t>(n);
        z_ = Buffer<Value>(layers * n * shape_.gated);
        skips_ = Buffer<float>(n * shape_.skip);
    }

    // The inputs of a layer `back` samples ago, of all streams from the first on; 0 is the present one's place.
    Rows<Value> past(const Layer& layer, int64_t step, int back, int first) const {
        const int64_t slot = (position_ + step + layer.reach - back) % layer.reach;
        return ring_.rows((layer.reach_before + slot) * streams_ + first, shape_.channels);
    }
    Rows<float> gates(int layer, int first) const {
        return gates_.rows(int64_t(layer) * streams_ + first, 2 * shape_.gated);
    }
    // A layer's gated signals; those of the next layer follow in each row.
    Rows<Value> z(int layer, int first) const {
        const int64_t width = int64_t(shape_.layers) * shape_.gated;
        return {z_.data() + first * width + layer * shape_.gated, width};
    }
    Rows<float> skips(int first) const { return skips_.rows(first, shape_.skip); }
    // The projected conditions of a stream, one row each.
    Rows<float> terms(int stream) const { return terms_.rows(int64_t(stream) * STREAM_ROWS, gate_width()); }

    int64_t gate_width() const { return int64_t(shape_.layers) * 2 * shape_.gated; }

    bool run_out(const Conditions& conditions, const Team& team, int step) const {
        for (int stream = team.first; stream < team.last; stream++)
            if (conditions.at(stream, step) >= projected_to_.data()[stream]) return true;
        return false;
    }

    // Projects the next rows of conditions of all streams, each once; every member computes its panels.
    void project_conditions(const Conditions& conditions, int step, Member& member) {
        const Team& team = member.team;
        const int most = std::clamp(TEAM_ROWS / team.streams(), 1, STREAM_ROWS);
        const auto count = [&](int stream) {
            return std::min(most, conditions.at(stream, conditions.steps - 1) - conditions.at(stream, step) + 1);
        };
        const int first_panel = local_.panels() * member.number / team.threads;
        const int last_panel = local_.panels() * (member.number + 1) / team.threads;
        // A panel serves all streams while it is in the cache.
        for (int panel = first_panel; panel < last_panel; panel++) {
            for (int stream = team.first; stream < team.last; stream++) {
                const auto* values = static_cast<const Value*>(conditions.values);
                local_.multiply({values + int64_t(conditions.at(stream, step)) * shape_.local, shape_.local},
                                Shared{fixed_gates_.data()[stream]}, terms(stream), count(stream),
                                {0, shape_.local, panel, panel + 1});
            }
        }
        member.meet();
        // The others read this when the leader has gone through the layers of this step.
        if (!member.leads()) return;
        for (int stream = team.first; stream < team.last; stream++) {
            projected_from_.data()[stream] = conditions.at(stream, step);
            projected_to_.data()[stream] = conditions.at(stream, step) + count(stream);
        }
    }

    // Where the gates of all layers begin in this step: with biases and conditions.
    void find_first_gates(const Conditions& conditions, const Team& team, int step) {
        for (int stream = team.first; stream < team.last; stream++) {
            first_gates_.data()[stream] =
                shape_.local ? terms(stream)[conditions.at(stream, step) - projected_from_.data()[stream]]
                             : fixed_gates_.data()[stream];
        }
    }

    // What can be said of a layer's gates before the present sample is known: the past taps.
    void begin_gates(const Team& team, int step, int l) {
        const Layer& layer = layers_[l];
        const Rows<float> sums = gates(l, team.first);
        for (int tap = 0; tap < shape_.kernel_size - 1; tap++) {
            const auto x = constant(past(layer, step, (shape_.kernel_size - 1 - tap) * layer.dilation, team.first));
            const Part part = layer.dilated.inputs(tap * shape_.channels, shape_.channels);
            if (tap > 0) layer.dilated.multiply(x, sums, sums, team.streams(), part);
            else layer.dilated.multiply(x, Separate{first_gates_.data() + team.first, int64_t(l) * 2 * shape_.gated},
                                        sums, team.streams(), part);
        }
    }

    // z = tanh(filter) x sigmoid(gate), of sums that hold all filters and then all gates.
    void gate(const float* sums, Value* z) const {
        for (int c = 0; c < shape_.gated; c += LANES) {
            // Beyond these both functions are constant in float32, and the products below stay finite.
            const Floats a = exponential(clamp(load<Floats>(sums + c) * -2.0f, -30.0f, 30.0f));
            const Floats b = exponential(clamp(-load<Floats>(sums + shape_.gated + c), -40.0f, 40.0f));
            float gated[LANES];
            store(gated, (1.0f - a) / ((1.0f + a) * (1.0f + b)));
            P::convert(gated, z + c, LANES);
        }
    }

    void project(const Team& team, const Layer& layer, int l, Rows<float> x) {
        const Rows<float> projected = projected_.rows(team.first, shape_.channels);
        const int streams = team.streams();
        layer.projection.multiply(constant(z(l, team.first)), Shared{layer.projection_bias}, projected, streams,
                                  layer.projection.whole());
        for (int r = 0; r < streams; r++)
            for (int c = 0; c < shape_.channels; c++) x[r][c] += projected[r][c];
        if (!shape_.shared_projection) return;
        const Rows<float> sums = skips(team.first);
        for (int r = 0; r < streams; r++)
            for (int c = 0; c < shape_.skip; c++) sums[r][c] += projected[r][c];
    }

    TrunkShape shape_;
    int streams_;
    int64_t position_ = 0, reach_ = 0;
    std::vector<Layer> layers_;
    Matrix<P> skip_{}, local_{};
    const float *skip_bias_, *gate_terms_;
    Buffer<const float*> fixed_gates_;           // [streams]: biases and projected global conditions, of all layers
    Buffer<const float*> first_gates_;           // [streams]: the same with the local condition of the present step
    Buffer<Value> ring_;                         // [reach of all layers, streams, channels]
    Buffer<float> signal_, projected_;           // [streams, channels]
    Buffer<float> gates_;                        // [layers, streams, 2 * gated]
    Buffer<float> terms_;                        // [streams, STREAM_ROWS, layers * 2 * gated]
    Buffer<int32_t> projected_from_, projected_to_;  // [streams]: the rows of conditions that stand there
    Buffer<Value> z_;                            // [streams, layers, gated]
    Buffer<float> skips_;                        // [streams, skip]
};
