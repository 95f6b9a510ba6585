// The gate z = tanh(f) sigmoid(g) of equation (2) and its derivative, in one pass over memory each.
#include <cstdint>

#include "vectors.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace {

struct BFloat16 {
    uint16_t bits;
};
typedef uint16_t HalfWords __attribute__((vector_size(VECTOR_BYTES / 2)));

inline Floats read(const float* from) { return load<Floats>(from); }

inline Floats read(const BFloat16* from) {
    return bits<Floats>(__builtin_convertvector(load<HalfWords>(from), Words) << 16);
}

inline void write(float* to, Floats v) { store(to, v); }

#if defined(__AVX512BF16__)
inline void write(BFloat16* to, Floats v) { store(to, bits<HalfWords>(_mm512_cvtneps_pbh(bits<__m512>(v)))); }
#else
inline void write(BFloat16* to, Floats v) {
    // To the nearest, ties to even; NaN must not be rounded to infinity.
    const Words w = bits<Words>(v);
    const Words rounded = w + (0x7fffu + ((w >> 16) & 1u));
    store(to, __builtin_convertvector((v == v ? rounded : w | 0x400000u) >> 16, HalfWords));
}
#endif

struct Gate {
    Floats filter, gate;
};

inline Floats exponential_for(const float*, Floats x) { return exponential(x); }

// To 12 bits, of which bfloat16 keeps 8.
inline Floats exponential_for(const BFloat16*, Floats x) {
    const Floats shifted = x * 1.44269504f + 12582912.0f;
    const Floats r = x - (shifted - 12582912.0f) * 0.69314718f;
    const Floats p = ((r * (1.0f / 6) + 0.5f) * r + 1.0f) * r + 1.0f;
    return bits<Floats>(bits<Ints>(p) + (bits<Ints>(shifted) << 23));
}

// tanh(f) and sigmoid(g) with one division.
template <class T>
inline Gate evaluate(Floats f, Floats g) {
    const T* const kind = nullptr;
    const Floats a = exponential_for(kind, clamp(f * -2.0f, -80.0f, 40.0f));
    const Floats b = exponential_for(kind, clamp(-g, -80.0f, 40.0f));
    const Floats inverse = 1.0f / ((1.0f + a) * (1.0f + b));
    // NaN stays NaN: a net that has blown up must be seen to have.
    return {f == f ? (1.0f - a) * (1.0f + b) * inverse : f, g == g ? (1.0f + a) * inverse : g};
}

// The last `kept` rows of z are written a second time, to rows that are `stride` apart.
template <class T>
void forward(const T* both, T* z, T* copy, int64_t rows, int half, int64_t kept, int64_t stride, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < rows; row++) {
        const T* f = both + row * 2 * half;
        const int64_t kept_row = row - (rows - kept);
        for (int i = 0; i < half; i += LANES) {
            const Gate at = evaluate<T>(read(f + i), read(f + half + i));
            const Floats value = at.filter * at.gate;
            write(z + row * half + i, value);
            if (kept_row >= 0) write(copy + kept_row * stride + i, value);
        }
    }
}

// The last `kept` rows of z have a second gradient, whose rows are `stride` apart. Sums of the gradient's columns come
// in parts, one a thread, so that they do not depend on which thread is done first.
template <class T>
void backward(const T* both, const T* z_gradient, const T* kept_gradient, T* gradient, T* z, float* sums, int64_t rows,
              int half, int64_t kept, int64_t stride, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int part = 0; part < threads; part++) {
        float* const sum = sums + int64_t(part) * 2 * half;
        for (int64_t row = rows * part / threads; row < rows * (part + 1) / threads; row++) {
            const T* f = both + row * 2 * half;
            T* to = gradient + row * 2 * half;
            const int64_t kept_row = row - (rows - kept);
            for (int i = 0; i < half; i += LANES) {
                const Gate at = evaluate<T>(read(f + i), read(f + half + i));
                Floats upstream = z_gradient ? read(z_gradient + row * half + i) : Floats{};
                if (kept_row >= 0) upstream += read(kept_gradient + kept_row * stride + i);
                const Floats of_filter = upstream * at.gate * (1.0f - at.filter * at.filter);
                const Floats of_gate = upstream * at.filter * at.gate * (1.0f - at.gate);
                write(to + i, of_filter);
                write(to + half + i, of_gate);
                write(z + row * half + i, at.filter * at.gate);
                write(sum + i, read(sum + i) + of_filter);
                write(sum + half + i, read(sum + half + i) + of_gate);
            }
        }
    }
}

}  // namespace

extern "C" {

int gate_lanes() { return LANES; }

void gate_forward_float32(const float* both, float* z, float* copy, int64_t rows, int half, int64_t kept,
                          int64_t stride, int threads) {
    forward(both, z, copy, rows, half, kept, stride, threads);
}

void gate_forward_bfloat16(const BFloat16* both, BFloat16* z, BFloat16* copy, int64_t rows, int half, int64_t kept,
                           int64_t stride, int threads) {
    forward(both, z, copy, rows, half, kept, stride, threads);
}

void gate_backward_float32(const float* both, const float* z_gradient, const float* kept_gradient, float* gradient,
                           float* z, float* sums, int64_t rows, int half, int64_t kept, int64_t stride, int threads) {
    backward(both, z_gradient, kept_gradient, gradient, z, sums, rows, half, kept, stride, threads);
}

void gate_backward_bfloat16(const BFloat16* both, const BFloat16* z_gradient, const BFloat16* kept_gradient,
                            BFloat16* gradient, BFloat16* z, float* sums, int64_t rows, int half, int64_t kept,
                            int64_t stride, int threads) {
    backward(both, z_gradient, kept_gradient, gradient, z, sums, rows, half, kept, stride, threads);
}
}
