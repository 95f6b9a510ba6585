// Products of packed weights with one or several rows of activations.
//
// Weights of a matrix [out, in] lie in panels of up to four vectors of outputs: within a panel, input by input, the
// weights of all its outputs. One pass over a panel then reads memory in order. Products of bfloat16 take inputs in
// pairs, as the CPU's instruction does.
//
// Every output is one sum in the order of the inputs, beginning with its bias, whatever the number of rows
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

    static void convert(const float* from, Value* to, int64_t n) { std::memcpy(to, from, n * sizeof(float)); }

    static Floats multiply_add(Floats sum, const Value* weights, const Value* x) {
        return sum + load<Floats>(weights) * *x;
    }
};

#if defined(__AVX512BF16__)
// Weights and the inputs of products in bfloat16, sums in float32.
struct Half {
    using Value = uint16_t;
    static constexpr int GROUP = 2;

    static void convert(const float* from, Value* to, int64_t n) {
        for (int64_t i = 0; i < n; i += LANES) store(to + i, bits<__m256i>(_mm512_cvtneps_pbh(load<__m512>(from + i))));
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

template <class T>
inline Rows<const T> constant(Rows<T> rows) { return {rows.data, rows.stride}; }

// What sums begin with, where it is the same for all rows, such as a bias.
struct Shared {
    const float* data;
    const float* operator[](int) const { return data; }
};

// What sums begin with, where every row has its own place.
struct Separate {
    const float* const* data;
    int64_t offset;
    const float* operator[](int row) const { return data[row] + offset; }
};

// y = base + W x, for some rows and for vectors of outputs in `PANELS` panels, `panel_size` weights apart.
template <class P, int ROWS, int VECTORS, int PANELS = 1>
inline void multiply_tile(const typename P::Value* weights, int64_t panel_size, int inputs,
                          Rows<const typename P::Value> x, const float* const* base, Rows<float> y) {
    constexpr int STEP = VECTORS * LANES * P::GROUP;
    Floats sum[ROWS][PANELS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int p = 0; p < PANELS; p++)
            for (int v = 0; v < VECTORS; v++) sum[r][p][v] = load<Floats>(base[r] + p * PANEL + v * LANES);
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

// A part of a product: some inputs, and the outputs of some panels.
struct Part {
    int first_input, inputs, first_panel, last_panel;
};

// A packed matrix. `in` and `out` are multiples of LANES.
template <class P>
struct Matrix {
    using Value = typename P::Value;
    const Value* weights;
    int in, out;

    int panels() const { return (out + PANEL - 1) / PANEL; }
    Part whole() const { return {0, in, 0, panels()}; }
    Part inputs(int first, int count) const { return {first, count, 0, panels()}; }

    // y = base + W x over a part of the inputs and outputs. Base may be y itself, for a sum that continues.
    template <class Base>
    void multiply(Rows<const Value> x, Base base, Rows<float> y, int rows, Part part) const {
        const int64_t panel_size = int64_t(PANEL) * in;
        for (int panel = part.first_panel; panel < part.last_panel;) {
            const int vectors = std::min(PANEL, out - panel * PANEL) / LANES;
            const Value* at = weights + panel * panel_size + int64_t(part.first_input) * vectors * LANES;
            const Rows<float> to{y.data + panel * PANEL, y.stride};
            const float* from[MAX_ROWS];
            // Sums of one row in one panel would wait for one another: two panels have twice as many.
            if (rows == 1 && panel + 1 < part.last_panel && out >= (panel + 2) * PANEL) {
                from[0] = base[0] + panel * PANEL;
                multiply_tile<P, 1, PANEL_VECTORS, 2>(at, panel_size, part.inputs, x, from, to);
                panel += 2;
                continue;
            }
            for (int row = 0; row < rows;) {
                const int tiles = (rows - row + MAX_ROWS - 1) / MAX_ROWS;
                const int count = (rows - row + tiles - 1) / tiles;
                for (int r = 0; r < count; r++) from[r] = base[row + r] + panel * PANEL;
                dispatch<MAX_ROWS>(count, vectors, at, part.inputs, x.from(row), from, to.from(row));
                row += count;
            }
            panel++;
        }
    }

private:
    template <int ROWS>
    static void dispatch(int rows, int vectors, const Value* at, int inputs, Rows<const Value> x,
                         const float* const* base, Rows<float> y) {
        if constexpr (ROWS > 0) {
            if (rows != ROWS) return dispatch<ROWS - 1>(rows, vectors, at, inputs, x, base, y);
            switch (vectors) {
                case 4: return multiply_tile<P, ROWS, 4>(at, 0, inputs, x, base, y);
                case 3: return multiply_tile<P, ROWS, 3>(at, 0, inputs, x, base, y);
                case 2: return multiply_tile<P, ROWS, 2>(at, 0, inputs, x, base, y);
                default: return multiply_tile<P, ROWS, 1>(at, 0, inputs, x, base, y);
            }
        }
    }
};
