// What follows the skip sum: ReLU, 1x1, ReLU, 1x1. Every follower computes its panels of the outputs.
#pragma once

#include "buffer.h"
#include "packed.h"
#include "team.h"

template <class P>
class Head {
    using Value = typename P::Value;

public:
    Head(Packed<P>& packed, int skip, int hidden, int parameters, int streams)
        : skip_(skip), hidden_(hidden), parameters_(parameters) {
        first_ = packed.matrix(hidden, skip);
        first_bias_ = packed.vector(hidden);
        second_ = packed.matrix(parameters, hidden);
        second_bias_ = packed.vector(parameters);
        allocate(streams);
    }

    // How many followers have something to do.
    int most_followers() const { return std::max(first_.panels(), second_.panels()); }

    // Numbers of the output, [parameters] each, from the skip sums of a team's streams; whole for all followers.
    Rows<float> read(Rows<float> skips, Member& member) const {
        const Team& team = member.team;
        const Rows<Value> rectified_skips = rectified_skips_.rows(team.first, skip_);
        member.rectify<P>(skips, rectified_skips, skip_);
        member.meet_followers();

        const Rows<float> hidden = hiddens_.rows(team.first, hidden_);
        first_.multiply(constant(rectified_skips), Shared{first_bias_}, hidden, team.streams(),
                        member.part(first_, 0, skip_));
        const Rows<Value> rectified_hidden = rectified_hiddens_.rows(team.first, hidden_);
        member.rectify<P>(hidden, rectified_hidden, hidden_);
        member.meet_followers();

        const Rows<float> parameters = results_.rows(team.first, parameters_);
        second_.multiply(constant(rectified_hidden), Shared{second_bias_}, parameters, team.streams(),
                         member.part(second_, 0, hidden_));
        member.meet_followers();
        return parameters;
    }

    void allocate(int64_t streams) {
        hiddens_ = Buffer<float>(streams * hidden_);
        results_ = Buffer<float>(streams * parameters_);
        rectified_skips_ = Buffer<Value>(streams * skip_);
        rectified_hiddens_ = Buffer<Value>(streams * hidden_);
    }

private:
    int skip_, hidden_, parameters_;
    Matrix<P> first_{}, second_{};
    const float *first_bias_, *second_bias_;
    Buffer<float> hiddens_, results_;  // [streams, hidden | parameters]
    Buffer<Value> rectified_skips_, rectified_hiddens_;
};
