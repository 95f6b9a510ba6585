// The weights and constants of a net, one after another in the order in which the parts of the engine take them.
#pragma once

#include "product.h"

template <class P>
struct Packed {
    const typename P::Value* weights;
    const float* constants;

    Matrix<P> matrix(int out, int in) {
        const Matrix<P> m{weights, in, out};
        weights += int64_t(out) * in;
        return m;
    }

    const float* vector(int64_t size) {
        const float* v = constants;
        constants += size;
        return v;
    }
};
