// Cached autoregressive generation of a WaveNet on a CPU: the loop over samples.
//
// Input layer (input.h), residual layers and skip sum (trunk.h), head (head.h) and output (outputs.h) each keep what
// they need of every stream. Streams are shared out among threads; where there are fewer streams than threads, several
// threads make a team around theirs (team.h). Nothing is allocated inside the loop, and no sum depends on who computes
// it.

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "crew.h"
#include "head.h"
#include "input.h"
#include "outputs.h"
#include "stack.h"
#include "trunk.h"

namespace {

// Channels are padded with zeros to multiples of LANES.
struct Shape {
    TrunkShape trunk;
    int32_t input_taps;
    int32_t input_levels;  // of one-hot codes; 0 where the input is their amplitude
    int32_t hidden;
    int32_t parameters, out_channels;  // numbers of a sample, with and without padding
    int32_t output;                    // OutputKind
};

// What one call of `run` generates.
struct Block {
    const double* uniforms;  // [clips, steps]
    Conditions conditions;   // of a net with a local condition
    int64_t* codes;          // [clips, steps]
    float* parameters;       // [clips, steps, out_channels], where codes are not to be drawn but are given; or null
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
public:
    // strengths: of the guidance of clips, each of which is two streams then; null where each is one.
    Engine(const Shape& shape, const int32_t* dilations, Packed<P> packed, std::unique_ptr<Output> output, int streams,
           const int32_t* recent, const float* past, const float* strengths)
        : shape_(shape),
          streams_(streams),
          streams_of_clip_(strengths ? 2 : 1),
          output_(std::move(output)),
          input_(packed, shape.input_taps, shape.input_levels, shape.trunk.channels, streams, recent),
          trunk_(packed, shape.trunk, dilations, streams, past),
          head_(packed, shape.trunk.skip, shape.hidden, shape.parameters, streams) {
        if (strengths) strengths_.assign(strengths, strengths + streams / 2);
        make_room();
    }

    void run(const Block& block, int threads) override {
        // A follower needs panels of its own in one of the products at least.
        const int most = 1 + std::max(trunk_.most_followers(), head_.most_followers());
        threads = crew_.hire(std::min(threads, streams_ * most));
        const int clips = streams_ / streams_of_clip_;
        const int teams = std::min(threads, clips);
        const auto squad = std::make_unique<Team[]>(teams);
        const auto members = std::make_unique<Place[]>(threads);
        int count = 0;
        for (int t = 0; t < teams; t++) {
            Team& team = squad[t];
            team.first = int(int64_t(clips) * t / teams) * streams_of_clip_;
            team.last = int(int64_t(clips) * (t + 1) / teams) * streams_of_clip_;
            const int share = int(int64_t(threads) * (t + 1) / teams - int64_t(threads) * t / teams);
            team.threads = std::min(share, most);
            for (int number = 0; number < team.threads; number++) members[count++] = {&team, number};
        }
        crew_.run(count, [&](int i) { work(block, Member{*members[i].team, members[i].number}); });
        trunk_.advance(block.steps);
    }

    void keep(const int32_t* rows, int count) override {
        if (streams_of_clip_ == 2)
            for (int clip = 0; clip < count / 2; clip++) strengths_[clip] = strengths_[rows[2 * clip] / 2];
        streams_ = count;
        input_.keep(rows, count);
        trunk_.keep(rows, count);
        head_.allocate(count);
        make_room();
    }

private:
    struct Place {
        Team* team;
        int number;
    };

    void work(const Block& block, Member member) {
        for (int step = 0; step < block.steps; step++) {
            trunk_.take_conditions(block.conditions, step, member);
            if (member.leads()) lead(block, member.team, step);
            if (member.follows()) follow(block, member, step);
        }
    }

    // The residual layers of one sample.
    void lead(const Block& block, Team& team, int step) {
        trunk_.begin(block.conditions, team, step);
        wait_for(team.samples_drawn, step);
        const Rows<float> signal = trunk_.signal(team.first);
        for (int r = 0; r < team.streams(); r++) input_.read(team.first + r, *output_, signal[r]);
        trunk_.lead(team, step);
    }

    // Skip sum, head and draw of one sample.
    void follow(const Block& block, Member& member, int step) {
        Team& team = member.team;
        const Rows<float> parameters = head_.read(trunk_.sum_skips(member, step), member);
        if (member.follower() > 0) return;
        for (int r = 0; r < team.streams(); r += streams_of_clip_) {
            const int clip = (team.first + r) / streams_of_clip_;
            if (streams_of_clip_ == 2) guide(strengths_[clip], parameters[r], parameters[r + 1]);
            draw(block, clip, step, parameters[r]);
        }
        team.samples_drawn.store(step + 1, std::memory_order_release);
    }

    // Leads the logits of a clip away from those of its other stream.
    void guide(float strength, float* conditioned, const float* other) const {
        for (int i = 0; i < shape_.parameters; i++) conditioned[i] = other[i] + strength * (conditioned[i] - other[i]);
    }

    void draw(const Block& block, int clip, int step, const float* parameters) {
        const int64_t at = int64_t(clip) * block.steps + step;
        if (block.parameters) std::copy_n(parameters, shape_.out_channels, block.parameters + at * shape_.out_channels);
        else block.codes[at] = output_->draw(parameters, block.uniforms[at], room_.rows(clip, room())[0]);
        for (int of_clip = 0; of_clip < streams_of_clip_; of_clip++)
            input_.push(clip * streams_of_clip_ + of_clip, int32_t(block.codes[at]));
    }

    // Of each stream on its own, for teams draw at the same time; in whole lines of the cache.
    int64_t room() const { return (output_->room() + 63) / 64 * 64; }
    void make_room() { room_ = Buffer<char>(streams_ * room()); }

    Shape shape_;
    int streams_, streams_of_clip_;
    std::vector<float> strengths_;  // of guidance, of each clip
    std::unique_ptr<Output> output_;
    Input input_;
    Trunk<P> trunk_;
    Head<P> head_;
    Buffer<char> room_;
    Crew crew_;
};

template <class P>
Session* open(const Shape& shape, const int32_t* dilations, const void* weights, const float* constants,
              std::unique_ptr<Output> output, int streams, const int32_t* recent, const float* past,
              const float* strengths) {
    return new Engine<P>(shape, dilations, {static_cast<const typename P::Value*>(weights), constants},
                         std::move(output), streams, recent, past, strengths);
}

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

// Null where there is no memory for it, no bfloat16, or no such output.
void* wavenet_open(const Shape* shape, const int32_t* dilations, int bfloat16, const void* weights,
                   const float* constants, const double* output_options, const float* output_constants, int streams,
                   const int32_t* recent, const float* past, const float* strengths) {
    try {
        std::unique_ptr<Output> output = make_output(shape->output, output_options, output_constants);
        if (!output) return nullptr;
#if defined(__AVX512BF16__)
        if (bfloat16)
            return open<Half>(*shape, dilations, weights, constants, std::move(output), streams, recent, past,
                              strengths);
#endif
        if (bfloat16) return nullptr;
        return open<Single>(*shape, dilations, weights, constants, std::move(output), streams, recent, past, strengths);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

// 0 where there is no memory for it.
int wavenet_run(void* session, const double* uniforms, const void* conditions, const int32_t* row, int64_t* codes,
                float* parameters, int steps, int threads) {
    try {
        static_cast<Session*>(session)->run({uniforms, {conditions, row, steps}, codes, parameters, steps}, threads);
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

// Weights and constants as above. Null where there is no memory for it.
void* wavenet_open_stack(const TrunkShape* shape, const int32_t* dilations, const float* weights,
                         const float* constants, int streams, const float* past) {
    try {
        return new Stack({weights, constants}, *shape, dilations, streams, past);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void wavenet_step_stack(void* stack, const float* signal, float* sums) { static_cast<Stack*>(stack)->step(signal, sums); }

// 0 where there is no memory for it.
int wavenet_keep_stack(void* stack, const int32_t* rows, int count) {
    try {
        static_cast<Stack*>(stack)->keep(rows, count);
        return 1;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

void wavenet_close_stack(void* stack) { delete static_cast<Stack*>(stack); }

}
