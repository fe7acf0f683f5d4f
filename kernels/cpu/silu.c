// y = x * sigmoid(x) of numbers in a row, fp32 or bf16.

#include "rows.h"

enum { BLOCK = 256 };  // widened at a time

void silu_forward(const Map *x, const Map *y, int64_t count, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t from = 0; from < count; from += BLOCK) {
        float row[BLOCK];
        int n = count - from < BLOCK ? count - from : BLOCK;
        read_row(row, x, 0, from, n);
#pragma omp simd
        for (int i = 0; i < n; i++) row[i] *= sigmoid(row[i]);
        write_row(row, y, 0, from, n);
    }
}

void silu_backward(const Map *x, const Map *dy, const Map *dx, int64_t count, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t from = 0; from < count; from += BLOCK) {
        float row[BLOCK], d[BLOCK];
        int n = count - from < BLOCK ? count - from : BLOCK;
        read_row(row, x, 0, from, n);
        read_row(d, dy, 0, from, n);
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float s = sigmoid(row[i]);
            d[i] *= s * (1 + row[i] * (1 - s));
        }
        write_row(d, dx, 0, from, n);
    }
}
