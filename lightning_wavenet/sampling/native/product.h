// Products of packed weights with one or several rows of activations.
//
// Weights of a matrix [out, in] lie in panels of up to four vectors of outputs: within a panel, input by input, the
// weights of all its outputs. One pass over a panel then reads memory in order. Products of bfloat16 take inputs in
// pairs, as the CPU's instruction does.
//
// Every output is the sum over the two halves of its inputs, each summed in order, whatever the number of rows and
// whichever thread computes it: this is what makes the samples of a stream independent of the streams beside it.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "vectors.h"

inline constexpr int PANEL_VECTORS = 4;
inline constexpr int PANEL = PANEL_VECTORS * LANES;
// Sums of all rows of a tile stay in registers: 32 of them on AVX-512 and ARM, 16 elsewhere.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int MAX_ROWS = 6;
#else
inline constexpr int MAX_ROWS = 3;
#endif

// Float32: activations and weights are what they are.
struct Single {
    using Value = float;
    static constexpr int GROUP = 1;

    static void convert(const float* from, Value* to, int n) { std::memcpy(to, from, n * sizeof(float)); }

    static Floats multiply_add(Floats sum, const Value* weights, const Value* x) {
        return sum + load<Floats>(weights) * *x;
    }
};

#if defined(__AVX512BF16__)
// Weights and the inputs of products in bfloat16, sums in float32.
struct Half {
    using Value = uint16_t;
    static constexpr int GROUP = 2;

    static void convert(const float* from, Value* to, int n) {
        for (int i = 0; i < n; i += LANES) store(to + i, bits<__m256i>(_mm512_cvtneps_pbh(load<__m512>(from + i))));
    }

    static Floats multiply_add(Floats sum, const Value* weights, const Value* x) {
        int32_t pair;
        std::memcpy(&pair, x, sizeof pair);
        return bits<Floats>(_mm512_dpbf16_ps(bits<__m512>(sum), load<__m512bh>(weights),
                                             bits<__m512bh>(_mm512_set1_epi32(pair))));
    }
};
#endif

// Rows of floats or of activations: row r begins at data + r * stride.
template <class T>
struct Rows {
    T* data;
    int64_t stride;
    T* operator[](int row) const { return data + row * stride; }
    Rows from(int row) const { return {data + row * stride, stride}; }
};

template <class P, int ROWS, int VECTORS>
inline void multiply_tile(const typename P::Value* weights, int in, Rows<const typename P::Value> x, float* const* y) {
    constexpr int STEP = VECTORS * LANES * P::GROUP;
    const int half = in / P::GROUP / 2;
    const auto add = [&](Floats(&sum)[ROWS][VECTORS]) {
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) store(y[r] + v * LANES, load<Floats>(y[r] + v * LANES) + sum[r][v]);
    };
    const auto multiply = [&](Floats(&sum)[ROWS][VECTORS], int k) __attribute__((always_inline)) {
        const auto* row = weights + int64_t(k) * STEP;
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] = P::multiply_add(sum[r][v], row + v * LANES * P::GROUP, x[r] + k * P::GROUP);
    };
    if constexpr (ROWS * VECTORS < 8) {
        // Both halves at once: few sums would wait for one another.
        Floats first[ROWS][VECTORS] = {}, second[ROWS][VECTORS] = {};
        for (int k = 0; k < half; k++) {
            multiply(first, k);
            multiply(second, half + k);
        }
        add(first);
        add(second);
    } else {
        for (int part = 0; part < 2; part++) {
            Floats sum[ROWS][VECTORS] = {};
            for (int k = part * half; k < (part + 1) * half; k++) multiply(sum, k);
            add(sum);
        }
    }
}

// A packed matrix. `in` and `out` are multiples of LANES, so that both halves of the inputs are whole.
template <class P>
struct Matrix {
    using Value = typename P::Value;
    const Value* weights;
    int in, out;

    int panels() const { return (out + PANEL - 1) / PANEL; }

    // y += W x for the outputs of panels first to last - 1.
    void multiply_add(Rows<const Value> x, Rows<float> y, int rows, int first, int last) const {
        for (int panel = first; panel < last; panel++) {
            const Value* at = weights + int64_t(panel) * PANEL * in;
            const int vectors = std::min(PANEL, out - panel * PANEL) / LANES;
            for (int row = 0; row < rows;) {
                const int tiles = (rows - row + MAX_ROWS - 1) / MAX_ROWS;
                const int count = (rows - row + tiles - 1) / tiles;
                float* to[MAX_ROWS];
                for (int r = 0; r < count; r++) to[r] = y[row + r] + panel * PANEL;
                dispatch<MAX_ROWS>(count, vectors, at, x.from(row), to);
                row += count;
            }
        }
    }

    void multiply_add(Rows<const Value> x, Rows<float> y, int rows) const { multiply_add(x, y, rows, 0, panels()); }

private:
    template <int ROWS>
    void dispatch(int rows, int vectors, const Value* at, Rows<const Value> x, float* const* y) const {
        if constexpr (ROWS > 0) {
            if (rows != ROWS) return dispatch<ROWS - 1>(rows, vectors, at, x, y);
            switch (vectors) {
                case 4: return multiply_tile<P, ROWS, 4>(at, in, x, y);
                case 3: return multiply_tile<P, ROWS, 3>(at, in, x, y);
                case 2: return multiply_tile<P, ROWS, 2>(at, in, x, y);
                default: return multiply_tile<P, ROWS, 1>(at, in, x, y);
            }
        }
    }
};
