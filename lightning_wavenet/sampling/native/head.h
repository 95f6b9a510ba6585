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
        : first_(packed, hidden, skip), second_(packed, parameters, hidden) {
        allocate(streams);
    }

    // How many followers have something to do.
    int most_followers() const { return std::max(first_.matrix.panels(), second_.matrix.panels()); }

    // Numbers of the output, [parameters] each, from the skip sums of a team's streams; whole for all followers.
    Rows<float> read(Rows<float> skips, Member& member) const {
        const Rows<float> parameters = second_.read(first_.read(skips, member), member);
        member.meet_followers();
        return parameters;
    }

    void allocate(int64_t streams) {
        first_.allocate(streams);
        second_.allocate(streams);
    }

private:
    // ReLU and 1x1.
    struct Layer {
        Matrix<P> matrix;
        const float* bias;
        Buffer<Value> rectified;  // [streams, in]
        Buffer<float> outputs;    // [streams, out]

        Layer(Packed<P>& packed, int out, int in) : matrix(packed.matrix(out, in)), bias(packed.vector(out)) {}

        void allocate(int64_t streams) {
            rectified = Buffer<Value>(streams * matrix.in);
            outputs = Buffer<float>(streams * matrix.out);
        }

        // A follower reads the channels of x that it owns, and all of them once the others have rectified theirs.
        Rows<float> read(Rows<float> x, Member& member) const {
            const Team& team = member.team;
            const Rows<Value> inputs = rectified.rows(team.first, matrix.in);
            member.rectify<P>(x, inputs, matrix.in);
            member.meet_followers();
            const Rows<float> y = outputs.rows(team.first, matrix.out);
            matrix.multiply(constant(inputs), Shared{bias}, y, team.streams(), member.part(matrix, 0, matrix.in));
            return y;
        }
    };

    Layer first_, second_;
};
