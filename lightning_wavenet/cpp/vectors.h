// Vectors of the width that this CPU has, by the vector extensions that GCC and Clang share, and exp over them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
inline constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX__)
inline constexpr int VECTOR_BYTES = 32;
#else
inline constexpr int VECTOR_BYTES = 16;
#endif

typedef float Floats __attribute__((vector_size(VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t Ints __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t Words __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t Longs __attribute__((vector_size(VECTOR_BYTES)));

inline constexpr int LANES = VECTOR_BYTES / sizeof(float);

template <class V, class T>
inline V load(const T* from) {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class V, class T>
inline void store(T* to, V v) {
    std::memcpy(to, &v, sizeof v);
}

template <class To, class From>
inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline Floats clamp(Floats x, float low, float high) {
    x = x < low ? Floats{} + low : x;
    return x > high ? Floats{} + high : x;
}

// e^x to about one unit in the last place, for |x| < 87.
inline Floats exponential(Floats x) {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the lowest bits.
    const Floats shifted = x * 1.44269504f + 12582912.0f;
    const Floats n = shifted - 12582912.0f;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    // Taylor's series up to r^7 / 7!, for |r| <= ln(2) / 2.
    Floats p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return bits<Floats>(bits<Ints>(p) + (bits<Ints>(shifted) << 23));
}

// e^x to a few units in the last place of a double, for x <= 0; 0 below -700.
inline Doubles exponential(Doubles x) {
    const Longs vanishes = x < -700.0;
    const Doubles shifted = x * 1.4426950408889634 + 6755399441055744.0;
    const Doubles n = shifted - 6755399441055744.0;
    const Doubles r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    // Taylor's series up to r^13 / 13!.
    constexpr double inverse_factorials[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                             1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,     1.0 / 6,
                                             1.0 / 2,         1.0,            1.0};
    Doubles p = r * (1.0 / 6227020800.0) + inverse_factorials[0];
    for (int i = 1; i < 13; i++) p = p * r + inverse_factorials[i];
    const Doubles e = bits<Doubles>(bits<Longs>(p) + (bits<Longs>(shifted) << 52));
    return vanishes ? Doubles{} : e;
}
