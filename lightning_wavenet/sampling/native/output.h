// What the head's numbers of a sample mean: an output distribution, and the codec of its codes.
#pragma once

#include <cstdint>

class Output {
public:
    virtual ~Output() = default;

    // Bytes that `draw` needs to work in.
    virtual int64_t room() const = 0;

    // A code drawn from the numbers of a sample, the first of which lies aligned to vectors, with one uniform in [0, 1).
    virtual int32_t draw(const float* parameters, double uniform, void* room) const = 0;

    // The amplitude that a code stands for, as nets with scalar input read it.
    virtual float amplitude(int32_t code) const = 0;
};
