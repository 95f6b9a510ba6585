// A residual stack without conditions that is fed step by step, by one thread: a context stack.
#pragma once

#include "trunk.h"

class Stack {
public:
    // As Trunk.
    Stack(Packed<Single> packed, const TrunkShape& shape, const int32_t* dilations, int streams, const float* past)
        : shape_(shape), streams_(streams), trunk_(packed, shape, dilations, streams, past) {}

    // signal: [streams, channels]; sums: [streams, skip].
    void step(const float* signal, float* sums) {
        Team team;
        team.first = 0;
        team.last = streams_;
        team.threads = 1;
        trunk_.begin({}, team, 0);
        std::copy_n(signal, int64_t(streams_) * shape_.channels, trunk_.signal(0)[0]);
        trunk_.lead(team, 0);
        std::copy_n(trunk_.sum_skips(Member{team, 0}, 0)[0], int64_t(streams_) * shape_.skip, sums);
        trunk_.advance(1);
    }

    void keep(const int32_t* rows, int count) {
        streams_ = count;
        trunk_.keep(rows, count);
    }

private:
    TrunkShape shape_;
    int streams_;
    Trunk<Single> trunk_;
};
