// Cached autoregressive generation of a WaveNet on a CPU: the loop over samples, layers and streams.
//
// Streams are shared out among threads. Where there are fewer streams than threads, several threads make a team around
// theirs: the leader walks the residual layers, and the others follow it with the skip sum, the head and the draw, each
// over its part of the outputs, while the leader goes ahead with the next sample's past taps. Nothing is allocated
// inside the loop, and no sum depends on who computes it.

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "draw.h"
#include "product.h"

namespace {

// Channels are padded with zeros to multiples of LANES.
struct Shape {
    int32_t layers, kernel_size, channels, gated, skip, hidden, parameters;
    int32_t levels, input_taps, scalar_input, shared_projection, local;
    int32_t gate_terms;  // rows of constant gate terms: 1, or one a stream
};

// Rows of local conditions that are projected at once: of all streams of a team together and of one stream. They are
// enough for a product, and few enough for the cache.
inline constexpr int TEAM_ROWS = 32;
inline constexpr int STREAM_ROWS = 16;

template <class T>
class Buffer {
public:
    explicit Buffer(int64_t size = 0) {
        const size_t bytes = (std::max<int64_t>(size, 1) * sizeof(T) + 63) / 64 * 64;
        data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
        if (!data_) throw std::bad_alloc();
        std::memset(static_cast<void*>(data_.get()), 0, bytes);
    }
    T* data() const { return data_.get(); }

private:
    struct Free {
        void operator()(T* data) const { std::free(data); }
    };
    std::unique_ptr<T, Free> data_;
};

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits for a counter to reach a value; gives the core away where that takes long, as when others want it too.
inline void wait_for(const std::atomic<int64_t>& counter, int64_t value) {
    for (int spins = 0; counter.load(std::memory_order_acquire) < value; spins++) {
        if (spins < 1024) pause();
        else std::this_thread::yield();
    }
}

// Threads that generate the streams first to last - 1.
struct alignas(64) Team {
    int first, last, threads;
    alignas(64) std::atomic<int64_t> layers_done{0};
    alignas(64) std::atomic<int64_t> samples_drawn{0};
    alignas(64) std::atomic<int64_t> arrivals{0}, followers_arrivals{0};

    int streams() const { return last - first; }
    int followers() const { return std::max(1, threads - 1); }
    int rows() const { return std::clamp(TEAM_ROWS / streams(), 1, STREAM_ROWS); }
};

// One thread's place in a team.
struct Member {
    int number;
    int64_t meetings = 0, followers_meetings = 0;

    // Barriers of all members, and of the followers alone.
    void meet(Team& team) { wait(team.arrivals, ++meetings * team.threads); }
    void meet_followers(Team& team) { wait(team.followers_arrivals, ++followers_meetings * team.followers()); }

private:
    static void wait(std::atomic<int64_t>& arrivals, int64_t expected) {
        arrivals.fetch_add(1, std::memory_order_acq_rel);
        wait_for(arrivals, expected);
    }
};

// What one call of `run` generates.
struct Block {
    const double* uniforms;   // [streams, steps]
    const void* conditions;   // [rows, local] in the engine's precision, of a net with a local condition
    const int32_t* row;       // [streams, steps]: the row of a stream's step, never falling
    int64_t* codes;           // [streams, steps]
    float* logits;            // [streams, steps, levels], where codes are not to be drawn but are given; or null
    int steps;
};

class Session {
public:
    virtual ~Session() = default;
    virtual void run(const Block& block, int threads) = 0;
    virtual void keep(const int32_t* rows, int count) = 0;
};

template <class P>
class Engine final : public Session {
    using Value = typename P::Value;

public:
    Engine(const Shape& shape, const int32_t* dilations, const Value* weights, const float* constants, Draw draw,
           int streams, const int32_t* recent, const float* past)
        : shape_(shape), draw_(draw), streams_(streams) {
        const auto matrix = [&](int out, int in) {
            const Matrix<P> m{weights, in, out};
            weights += int64_t(out) * in;
            return m;
        };
        const auto vector = [&](int64_t size) {
            const float* v = constants;
            constants += size;
            return v;
        };
        tables_ = vector(int64_t(shape.input_taps) * (shape.scalar_input ? 1 : shape.levels) * shape.channels);
        input_bias_ = vector(shape.channels);
        int64_t reach_before = 0;
        for (int l = 0; l < shape.layers; l++) {
            Layer layer{};
            layer.dilation = dilations[l];
            layer.reach = (shape.kernel_size - 1) * dilations[l];
            layer.reach_before = reach_before;
            reach_before += layer.reach;
            layer.dilated = matrix(2 * shape.gated, shape.kernel_size * shape.channels);
            layer.projected = shape.shared_projection || l < shape.layers - 1;
            if (layer.projected) {
                layer.projection = matrix(shape.channels, shape.gated);
                layer.projection_bias = vector(shape.channels);
            }
            layers_.push_back(layer);
        }
        reach_ = reach_before;
        if (!shape.shared_projection) skip_ = matrix(shape.skip, shape.layers * shape.gated);
        skip_bias_ = vector(shape.skip);
        hidden_ = matrix(shape.hidden, shape.skip);
        hidden_bias_ = vector(shape.hidden);
        output_ = matrix(shape.parameters, shape.hidden);
        output_bias_ = vector(shape.parameters);
        amplitudes_ = vector(shape.scalar_input ? shape.levels : 0);
        gate_terms_ = vector(int64_t(shape.gate_terms) * gate_width());
        local_ = matrix(shape.local ? gate_width() : 0, shape.local);

        allocate();
        for (int stream = 0; stream < streams; stream++)
            fixed_gates_.data()[stream] = gate_terms_ + (shape.gate_terms > 1 ? stream : 0) * gate_width();
        std::copy_n(recent, int64_t(streams_) * shape.input_taps, recent_.data());
        P::convert(past, ring_.data(), reach_ * streams_ * shape.channels);
    }

    void run(const Block& block, int threads) override {
        const int teams = std::max(1, std::min(threads, streams_));
        const auto squad = std::make_unique<Team[]>(teams);
        // A follower needs panels of its own in one of the products at least.
        const int most = 1 + std::max({shape_.shared_projection ? 1 : skip_.panels(), hidden_.panels(), output_.panels()});
        // Nobody begins before all are there: a system may refuse threads, and a team with gaps would wait for ever.
        std::atomic<int64_t> gate{0};
        constexpr int64_t BEGIN = 1, GIVE_UP = 2;
        std::vector<std::thread> workers;
        workers.reserve(threads);
        try {
            for (int t = 0; t < teams; t++) {
                Team& team = squad[t];
                team.first = int(int64_t(streams_) * t / teams);
                team.last = int(int64_t(streams_) * (t + 1) / teams);
                const int share = int(int64_t(threads) * (t + 1) / teams - int64_t(threads) * t / teams);
                team.threads = std::min(share, most);
                for (int member = 0; member < team.threads; member++)
                    if (t + member > 0) workers.emplace_back([this, &block, &team, &gate, member] {
                        wait_for(gate, BEGIN);
                        if (gate.load() == BEGIN) work(block, team, {member});
                    });
            }
        } catch (const std::system_error&) {
            gate.store(GIVE_UP);
            for (std::thread& worker : workers) worker.join();
            return run(block, 1);
        }
        gate.store(BEGIN);
        work(block, squad[0], {0});
        for (std::thread& worker : workers) worker.join();
        position_ += block.steps;
    }

    void keep(const int32_t* rows, int count) override {
        const Buffer<Value> ring = std::move(ring_);
        const Buffer<int32_t> recent = std::move(recent_);
        const Buffer<const float*> fixed_gates = std::move(fixed_gates_);
        const int before = streams_;
        streams_ = count;
        allocate();
        for (int row = 0; row < count; row++) {
            fixed_gates_.data()[row] = fixed_gates.data()[rows[row]];
            std::copy_n(recent.data() + int64_t(rows[row]) * shape_.input_taps, shape_.input_taps,
                        recent_.data() + int64_t(row) * shape_.input_taps);
            for (int64_t slot = 0; slot < reach_; slot++)
                std::copy_n(ring.data() + (slot * before + rows[row]) * shape_.channels, shape_.channels,
                            ring_.data() + (slot * count + row) * shape_.channels);
        }
    }

private:
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
        recent_ = Buffer<int32_t>(n * shape_.input_taps);
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
        rectified_skips_ = Buffer<Value>(n * shape_.skip);
        hiddens_ = Buffer<float>(n * shape_.hidden);
        rectified_hiddens_ = Buffer<Value>(n * shape_.hidden);
        logits_ = Buffer<float>(n * shape_.parameters);
        // Of each stream on its own, for teams draw at the same time; padded to whole vectors of doubles.
        probabilities_ = Buffer<double>(n * (shape_.levels + DOUBLE_LANES));
        order_ = Buffer<int>(n * shape_.levels);
    }

    template <class T>
    static Rows<T> rows(const Buffer<T>& buffer, int first, int width) {
        return {buffer.data() + int64_t(first) * width, width};
    }
    template <class T>
    static Rows<const T> constant(Rows<T> rows) { return {rows.data, rows.stride}; }

    // The inputs of a layer `back` samples ago, of all streams from the first on; 0 is the present one's place.
    Rows<Value> past(const Layer& layer, int64_t step, int back, int first) const {
        const int64_t slot = (position_ + step + layer.reach - back) % layer.reach;
        return {ring_.data() + ((layer.reach_before + slot) * streams_ + first) * shape_.channels, shape_.channels};
    }
    Rows<float> gates(int layer, int first) const {
        return rows(gates_, layer * streams_ + first, 2 * shape_.gated);
    }
    // A layer's gated signals; those of the next layer follow in each row.
    Rows<Value> z(int layer, int first) const {
        const int64_t width = int64_t(shape_.layers) * shape_.gated;
        return {z_.data() + first * width + layer * shape_.gated, width};
    }

    int64_t gate_width() const { return int64_t(shape_.layers) * 2 * shape_.gated; }

    void work(const Block& block, Team& team, Member member) {
        for (int step = 0; step < block.steps; step++) {
            if (shape_.local && (step == 0 || conditions_run_out(block, team, step)))
                project_conditions(block, team, step, member);
            if (member.number == 0) lead(block, team, step);
            if (member.number > 0 || team.threads == 1) follow(block, team, step, member);
        }
    }

    bool conditions_run_out(const Block& block, const Team& team, int step) const {
        for (int stream = team.first; stream < team.last; stream++)
            if (block.row[int64_t(stream) * block.steps + step] >= projected_to_.data()[stream]) return true;
        return false;
    }

    // Projects the next rows of conditions of all streams, each once; every member computes its panels.
    void project_conditions(const Block& block, Team& team, int step, Member& member) {
        const auto row = [&](int stream, int at) { return block.row[int64_t(stream) * block.steps + at]; };
        const auto count = [&](int stream) {
            return std::min(team.rows(), row(stream, block.steps - 1) - row(stream, step) + 1);
        };
        const int first_panel = local_.panels() * member.number / team.threads;
        const int last_panel = local_.panels() * (member.number + 1) / team.threads;
        // A panel serves all streams while it is in the cache.
        for (int panel = first_panel; panel < last_panel; panel++) {
            for (int stream = team.first; stream < team.last; stream++) {
                const auto* conditions = static_cast<const Value*>(block.conditions);
                local_.multiply({conditions + int64_t(row(stream, step)) * shape_.local, shape_.local},
                                Shared{fixed_gates_.data()[stream]}, rows(terms_, stream * STREAM_ROWS, gate_width()),
                                count(stream), {0, shape_.local, panel, panel + 1});
            }
        }
        member.meet(team);
        // The others read this when the leader has gone through the layers of this step.
        if (member.number > 0) return;
        for (int stream = team.first; stream < team.last; stream++) {
            projected_from_.data()[stream] = row(stream, step);
            projected_to_.data()[stream] = row(stream, step) + count(stream);
        }
    }

    // The residual layers of one sample.
    void lead(const Block& block, Team& team, int step) {
        const int streams = team.streams();
        find_first_gates(block, team, step);
        for (int l = 0; l < shape_.layers; l++) begin_gates(team, step, l);
        wait_for(team.samples_drawn, step);
        read_input(team);
        const Rows<float> x = rows(signal_, team.first, shape_.channels);
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

    // Where the gates of all layers begin in this step: with biases and conditions.
    void find_first_gates(const Block& block, const Team& team, int step) {
        for (int stream = team.first; stream < team.last; stream++) {
            const float* first = fixed_gates_.data()[stream];
            if (shape_.local) {
                const int32_t* row = block.row + int64_t(stream) * block.steps;
                const int place = row[step] - projected_from_.data()[stream];
                first = rows(terms_, stream * STREAM_ROWS, gate_width())[place];
            }
            first_gates_.data()[stream] = first;
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

    void read_input(const Team& team) {
        for (int stream = team.first; stream < team.last; stream++) {
            float* x = signal_.data() + int64_t(stream) * shape_.channels;
            const int32_t* codes = recent_.data() + int64_t(stream) * shape_.input_taps;
            std::fill_n(x, shape_.channels, 0.0f);
            for (int tap = 0; tap < shape_.input_taps; tap++) {
                const int64_t row = shape_.scalar_input ? tap : int64_t(tap) * shape_.levels + codes[tap];
                const float* table = tables_ + row * shape_.channels;
                const float amplitude = shape_.scalar_input ? amplitudes_[codes[tap]] : 1.0f;
                for (int c = 0; c < shape_.channels; c++) x[c] += amplitude * table[c];
            }
            for (int c = 0; c < shape_.channels; c++) x[c] += input_bias_[c];
            // With a shared projection the leader sums the skips as it goes.
            if (shape_.shared_projection) std::copy_n(skip_bias_, shape_.skip, rows(skips_, stream, shape_.skip)[0]);
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
        const Rows<float> projected = rows(projected_, team.first, shape_.channels);
        const int streams = team.streams();
        layer.projection.multiply(constant(z(l, team.first)), Shared{layer.projection_bias}, projected, streams,
                                  layer.projection.whole());
        for (int r = 0; r < streams; r++)
            for (int c = 0; c < shape_.channels; c++) x[r][c] += projected[r][c];
        if (!shape_.shared_projection) return;
        const Rows<float> skips = rows(skips_, team.first, shape_.skip);
        for (int r = 0; r < streams; r++)
            for (int c = 0; c < shape_.skip; c++) skips[r][c] += projected[r][c];
    }

    // Skip sum, head and draw of one sample; every follower computes its panels of the outputs.
    void follow(const Block& block, Team& team, int step, Member& member) {
        const int follower = std::max(0, member.number - 1);
        const int streams = team.streams();
        const int64_t before = int64_t(step) * shape_.layers;
        const auto share = [&](int panels, int which) { return panels * which / team.followers(); };
        // A product over some inputs, for the follower's panels.
        const auto multiply = [&](const Matrix<P>& matrix, Rows<const Value> x, auto base, Rows<float> y, int first,
                                  int inputs) {
            const int panels = matrix.panels();
            matrix.multiply(x, base, y, streams,
                            {first, inputs, share(panels, follower), share(panels, follower + 1)});
        };
        // The channels of a vector of `width` that this follower owns.
        const auto channels = [&](int width) {
            const int panels = (width + PANEL - 1) / PANEL;
            return std::pair(std::min(width, share(panels, follower) * PANEL),
                             std::min(width, share(panels, follower + 1) * PANEL));
        };
        const auto rectify = [&](Rows<float> from, Rows<Value> to, int width) {
            const auto [low, high] = channels(width);
            for (int r = 0; r < streams; r++) {
                for (int c = low; c < high; c++) from[r][c] = std::max(from[r][c], 0.0f);
                P::convert(from[r] + low, to[r] + low, high - low);
            }
        };

        const Rows<float> skips = rows(skips_, team.first, shape_.skip);
        if (!shape_.shared_projection) {
            // One product where the layers are done already, else one after every layer.
            const int stride = team.threads == 1 ? shape_.layers : 1;
            for (int l = 0; l < shape_.layers; l += stride) {
                wait_for(team.layers_done, before + l + stride);
                const auto x = constant(z(l, team.first));
                if (l > 0) multiply(skip_, x, skips, skips, l * shape_.gated, stride * shape_.gated);
                else multiply(skip_, x, Shared{skip_bias_}, skips, 0, stride * shape_.gated);
            }
        }
        wait_for(team.layers_done, before + shape_.layers);
        const Rows<Value> rectified_skips = rows(rectified_skips_, team.first, shape_.skip);
        rectify(skips, rectified_skips, shape_.skip);
        member.meet_followers(team);

        const Rows<float> hidden = rows(hiddens_, team.first, shape_.hidden);
        multiply(hidden_, constant(rectified_skips), Shared{hidden_bias_}, hidden, 0, shape_.skip);
        const Rows<Value> rectified_hidden = rows(rectified_hiddens_, team.first, shape_.hidden);
        rectify(hidden, rectified_hidden, shape_.hidden);
        member.meet_followers(team);

        const Rows<float> logits = rows(logits_, team.first, shape_.parameters);
        multiply(output_, constant(rectified_hidden), Shared{output_bias_}, logits, 0, shape_.hidden);
        member.meet_followers(team);

        if (follower > 0) return;
        for (int stream = team.first; stream < team.last; stream++) draw(block, stream, step);
        team.samples_drawn.store(step + 1, std::memory_order_release);
    }

    void draw(const Block& block, int stream, int step) {
        const int64_t at = int64_t(stream) * block.steps + step;
        const float* logits = logits_.data() + int64_t(stream) * shape_.parameters;
        if (block.logits) std::copy_n(logits, shape_.levels, block.logits + at * shape_.levels);
        else block.codes[at] = draw_.code(logits, shape_.levels, block.uniforms[at],
                                          probabilities_.data() + int64_t(stream) * (shape_.levels + DOUBLE_LANES),
                                          order_.data() + int64_t(stream) * shape_.levels);
        int32_t* codes = recent_.data() + int64_t(stream) * shape_.input_taps;
        std::copy(codes + 1, codes + shape_.input_taps, codes);
        codes[shape_.input_taps - 1] = int32_t(block.codes[at]);
    }

    Shape shape_;
    Draw draw_;
    int streams_;
    int64_t position_ = 0, reach_ = 0;
    std::vector<Layer> layers_;
    Matrix<P> skip_, hidden_, output_, local_;
    const float *tables_, *input_bias_, *skip_bias_, *hidden_bias_, *output_bias_, *amplitudes_, *gate_terms_;
    Buffer<const float*> fixed_gates_;           // [streams]: biases and projected global conditions, of all layers
    Buffer<const float*> first_gates_;           // [streams]: the same with the local condition of the present step
    Buffer<int32_t> recent_;                     // [streams, input_taps]
    Buffer<Value> ring_;                         // [reach of all layers, streams, channels]
    Buffer<float> signal_, projected_;           // [streams, channels]
    Buffer<float> gates_;                        // [layers, streams, 2 * gated]
    Buffer<float> terms_;                        // [streams, STREAM_ROWS, layers * 2 * gated]
    Buffer<int32_t> projected_from_, projected_to_;  // [streams]: the rows of conditions that stand there
    Buffer<Value> z_;                            // [streams, layers, gated]
    Buffer<float> skips_, hiddens_, logits_;     // [streams, skip | hidden | parameters]
    Buffer<Value> rectified_skips_, rectified_hiddens_;
    Buffer<double> probabilities_;
    Buffer<int> order_;
};

}  // namespace

// The interface for ctypes. Weights and constants belong to the caller, and must outlive the session.
extern "C" {

int wavenet_lanes() { return LANES; }

int wavenet_panel() { return PANEL; }

int wavenet_has_bfloat16() {
#if defined(__AVX512BF16__)
    return 1;
#else
    return 0;
#endif
}

// Null where there is no memory for it, or no bfloat16.
void* wavenet_open(const Shape* shape, const int32_t* dilations, int bfloat16, const void* weights,
                   const float* constants, double temperature, double top_p, int streams, const int32_t* recent,
                   const float* past) {
    const Draw draw{temperature, top_p};
    try {
#if defined(__AVX512BF16__)
        if (bfloat16)
            return static_cast<Session*>(new Engine<Half>(*shape, dilations, static_cast<const uint16_t*>(weights),
                                                          constants, draw, streams, recent, past));
#endif
        if (bfloat16) return nullptr;
        return static_cast<Session*>(new Engine<Single>(*shape, dilations, static_cast<const float*>(weights),
                                                        constants, draw, streams, recent, past));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

// 0 where there is no memory for it.
int wavenet_run(void* session, const double* uniforms, const void* conditions, const int32_t* row, int64_t* codes,
                 float* logits, int steps, int threads) {
    try {
        static_cast<Session*>(session)->run({uniforms, conditions, row, codes, logits, steps}, threads);
        return 1;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

// 0 where there is no memory for it.
int wavenet_keep(void* session, const int32_t* rows, int count) {
    try {
        static_cast<Session*>(session)->keep(rows, count);
        return 1;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

void wavenet_close(void* session) { delete static_cast<Session*>(session); }

}
