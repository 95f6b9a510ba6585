// Products of packed weights with one or several rows of activations.
//
// Weights of a matrix [out, in] lie in panels of up to four vectors of outputs: within a panel, input by input, the
// weights of all its outputs. One pass over a panel then reads memory in order. Products of bfloat16 take inputs in
// pairs, as the CPU's instruction does.
//
// Every output is one sum in the order of the inputs, which goes on from what stands in y, whatever the number of rows
// and whichever thread computes it: this is what makes the samples of a stream independent of the streams beside it.
#pragma once

#include <algorithm>

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

// y += W x for some rows and for vectors of outputs in `PANELS` panels, `panel_size` weights apart.
template <class P, int ROWS, int VECTORS, int PANELS = 1>
inline void multiply_tile(const typename P::Value* weights, int64_t panel_size, int inputs,
                          Rows<const typename P::Value> x, Rows<float> y) {
    constexpr int STEP = VECTORS * LANES * P::GROUP;
    Floats sum[ROWS][PANELS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int p = 0; p < PANELS; p++)
            for (int v = 0; v < VECTORS; v++) sum[r][p][v] = load<Floats>(y[r] + p * PANEL + v * LANES);
    for (int k = 0; k < inputs / P::GROUP; k++)
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
            for (int p = 0; p < PANELS; p++)
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++)
                    sum[r][p][v] = P::multiply_add(
                        sum[r][p][v], weights + p * panel_size + int64_t(k) * STEP + v * LANES * P::GROUP,
                        x[r] + k * P::GROUP);
    for (int r = 0; r < ROWS; r++)
        for (int p = 0; p < PANELS; p++)
            for (int v = 0; v < VECTORS; v++) store(y[r] + p * PANEL + v * LANES, sum[r][p][v]);
}

// A packed matrix. `in` and `out` are multiples of LANES.
template <class P>
struct Matrix {
    using Value = typename P::Value;
    const Value* weights;
    int in, out;

    int panels() const { return (out + PANEL - 1) / PANEL; }

    // y += W x over `inputs` inputs from the one that is called `from`, for the outputs of panels first to last - 1.
    void multiply_add(Rows<const Value> x, Rows<float> y, int rows, int from, int inputs, int first, int last) const {
        const int64_t panel_size = int64_t(PANEL) * in;
        for (int panel = first; panel < last;) {
            const int vectors = std::min(PANEL, out - panel * PANEL) / LANES;
            const Value* at = weights + panel * panel_size + int64_t(from) * vectors * LANES;
            const Rows<float> to{y.data + panel * PANEL, y.stride};
            // Sums of one row in one panel would wait for one another: two panels have twice as many.
            if (rows == 1 && panel + 1 < last && out >= (panel + 2) * PANEL) {
                multiply_tile<P, 1, PANEL_VECTORS, 2>(at, panel_size, inputs, x, to);
                panel += 2;
                continue;
            }
            for (int row = 0; row < rows;) {
                const int tiles = (rows - row + MAX_ROWS - 1) / MAX_ROWS;
                const int count = (rows - row + tiles - 1) / tiles;
                dispatch<MAX_ROWS>(count, vectors, at, inputs, x.from(row), to.from(row));
                row += count;
            }
            panel++;
        }
    }

    void multiply_add(Rows<const Value> x, Rows<float> y, int rows, int from, int inputs) const {
        multiply_add(x, y, rows, from, inputs, 0, panels());
    }

private:
    template <int ROWS>
    static void dispatch(int rows, int vectors, const Value* at, int inputs, Rows<const Value> x, Rows<float> y) {
        if constexpr (ROWS > 0) {
            if (rows != ROWS) return dispatch<ROWS - 1>(rows, vectors, at, inputs, x, y);
            switch (vectors) {
                case 4: return multiply_tile<P, ROWS, 4>(at, 0, inputs, x, y);
                case 3: return multiply_tile<P, ROWS, 3>(at, 0, inputs, x, y);
                case 2: return multiply_tile<P, ROWS, 2>(at, 0, inputs, x, y);
                default: return multiply_tile<P, ROWS, 1>(at, 0, inputs, x, y);
            }
        }
    }
};
