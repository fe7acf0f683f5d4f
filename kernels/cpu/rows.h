// What the programs share: rows of numbers in fp32 or bf16, and exp.
//
// Maps are channels-last: [N, cells, C], a row is a cell's channels. A row is widened into a buffer, computed in fp32,
// and rounded when it is written. No program adds across samples, so sums do not depend on the number of threads.

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { FP32 = 0, BF16 = 1 };

// [N] samples that lie `stride` numbers apart, each of contiguous cells.
typedef struct {
    void *at;
    int64_t stride;
    int64_t kind;
} Map;

static inline float widen(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}

// To the nearest, halves to even, as torch rounds.
static inline uint16_t narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fc0 : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline void read_row(float *restrict row, const Map *map, int64_t sample, int64_t from, int count) {
    from += sample * map->stride;
    if (map->kind == FP32) {
        memcpy(row, (const float *)map->at + from, count * sizeof(float));
    } else {
        const uint16_t *restrict x = (const uint16_t *)map->at + from;
#pragma omp simd
        for (int i = 0; i < count; i++) row[i] = widen(x[i]);
    }
}

static inline void write_row(const float *restrict row, const Map *map, int64_t sample, int64_t from, int count) {
    from += sample * map->stride;
    if (map->kind == FP32) {
        memcpy((float *)map->at + from, row, count * sizeof(float));
    } else {
        uint16_t *restrict x = (uint16_t *)map->at + from;
#pragma omp simd
        for (int i = 0; i < count; i++) x[i] = narrow(row[i]);
    }
}

// a * b + c, in one instruction where the processor has one.
static inline float fused(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

// Within 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes, expf.c).
static inline float exp_(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = fused(n, 2.12194440e-4f, fused(n, -0.693359375f, x));
    float p = 1.9875691500e-4f;
    p = fused(p, r, 1.3981999507e-3f);
    p = fused(p, r, 8.3334519073e-3f);
    p = fused(p, r, 4.1665795894e-2f);
    p = fused(p, r, 1.6666665459e-1f);
    p = fused(p, r, 5.0000001201e-1f);
    p = fused(p * r, r, r) + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return p * scale;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_(-x)); }
static inline float tanh_(float x) { return 2.0f / (1.0f + exp_(-2.0f * x)) - 1.0f; }

// Layer norm of a row without its affine map -> 1 / standard deviation.
static inline float normalize(float *restrict row, int count) {
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += row[i];
    float mean = sum / count;
#pragma omp simd reduction(+ : squares)
    for (int i = 0; i < count; i++) {
        row[i] -= mean;
        squares += row[i] * row[i];
    }
    float scale = 1.0f / sqrtf(squares / count + 1e-5f);
#pragma omp simd
    for (int i = 0; i < count; i++) row[i] *= scale;
    return scale;
}

// The gradient to a normalised row, in place -> to the row before it was normalised.
static inline void normalize_backward(float *restrict grad, const float *restrict normal, float scale, int count) {
    float sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (int i = 0; i < count; i++) {
        sum += grad[i];
        product += grad[i] * normal[i];
    }
    sum /= count;
    product /= count;
#pragma omp simd
    for (int i = 0; i < count; i++) grad[i] = scale * (grad[i] - sum - normal[i] * product);
}

// An action's map at one cell: row += sum_p basis_p * places_p, and the sums over cells that its gradient needs.
static inline void add_places(float *restrict row, const float *basis, const float *places, int count, int wide) {
    int p = 0;
    for (; p + 4 <= count; p += 4, places += 4 * wide) {
        float a = basis[p], b = basis[p + 1], c = basis[p + 2], d = basis[p + 3];
#pragma omp simd
        for (int i = 0; i < wide; i++)
            row[i] += a * places[i] + b * places[wide + i] + c * places[2 * wide + i] + d * places[3 * wide + i];
    }
    for (; p < count; p++, places += wide)
#pragma omp simd
        for (int i = 0; i < wide; i++) row[i] += basis[p] * places[i];
}

static inline void spread_places(float *restrict places, const float *basis, const float *restrict grad, int count, int wide) {
    int p = 0;
    for (; p + 4 <= count; p += 4, places += 4 * wide) {
        float a = basis[p], b = basis[p + 1], c = basis[p + 2], d = basis[p + 3];
#pragma omp simd
        for (int i = 0; i < wide; i++) {
            places[i] += a * grad[i];
            places[wide + i] += b * grad[i];
            places[2 * wide + i] += c * grad[i];
            places[3 * wide + i] += d * grad[i];
        }
    }
    for (; p < count; p++, places += wide)
#pragma omp simd
        for (int i = 0; i < wide; i++) places[i] += basis[p] * grad[i];
}

// A place as F.grid_sample rounds it, which counts from -1 to 1. A flow starts at zero, where the slopes to either side
// differ: with other roundings a training would take other steps from its first on.
static inline float rounded(float x, int64_t size) {
    float counted = x * (2.0f / (size - 1)) - 1.0f;
    return (counted + 1.0f) * ((size - 1) / 2.0f);
}
