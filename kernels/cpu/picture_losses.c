// What a training step asks of pictures; `Losses` in worlds/world_model/losses.py has it in PyTorch.
//
//     photometric = difference((moved - target) known)          difference(d) = mean |d| + mean |d in cells of 4x4|
//     shown       = clamp(lerp(drawn, moved, mask))
//     composed    = difference(shown - after)
//     contrast    = mean |deviation(shown) - deviation(after)|   in windows of 2x2 cells, one cell apart
//
// The backward computes all but the sums again.

#include "rows.h"

enum { CELL = 4, SIDE = 256, CELLS = SIDE / CELL * SIDE / CELL, SUMS = 5, COLOURS = 3 };

// [B, T, channels, H, W] in fp32 or bf16, with any strides.
typedef struct {
    const void *at;
    int64_t kind, batch, time, channel, row, column;
} Frames;

typedef struct {
    int64_t batch, times, height, width;
    Frames moved, known, mask, drawn, target, after;
} Pictures;

typedef struct {
    float moved[SIDE], known[SIDE], mask[SIDE], drawn[SIDE], target[SIDE], after[SIDE];
} Lines;

typedef struct {  // of one colour, by cell
    float away[CELLS], apart[CELLS];  // sums of (moved - target) known, and of shown - after
    float own[CELLS], own_square[CELLS], given[CELLS], given_square[CELLS];  // means of shown and after
} Cells;

static void read_line(float *restrict line, const Frames *f, const Pictures *p, int64_t sample, int colour, int row) {
    int64_t from = sample / p->times * f->batch + sample % p->times * f->time + colour * f->channel + row * f->row;
    if (f->column == 1) {
        Map map = {(void *)f->at, 0, f->kind};
        read_row(line, &map, 0, from, p->width);
    } else if (f->kind == FP32) {
        for (int x = 0; x < p->width; x++) line[x] = ((const float *)f->at)[from + x * f->column];
    } else {
        for (int x = 0; x < p->width; x++) line[x] = widen(((const uint16_t *)f->at)[from + x * f->column]);
    }
}

static void read_lines(Lines *lines, const Pictures *p, int64_t sample, int colour, int row) {
    read_line(lines->moved, &p->moved, p, sample, colour, row);
    read_line(lines->known, &p->known, p, sample, 0, row);
    read_line(lines->mask, &p->mask, p, sample, 0, row);
    read_line(lines->drawn, &p->drawn, p, sample, colour, row);
    read_line(lines->target, &p->target, p, sample, colour, row);
    read_line(lines->after, &p->after, p, sample, colour, row);
}

// As torch.lerp: exact at either end.
static inline float mixed(float drawn, float moved, float mask) {
    return mask < 0.5f ? drawn + mask * (moved - drawn) : moved - (moved - drawn) * (1 - mask);
}

static inline float clamped(float x) { return x < -0.5f ? -0.5f : x > 0.5f ? 0.5f : x; }
static inline float sign(float x) { return (x > 0) - (x < 0); }

// Sums of four numbers each of a line -> to[W / 4], times `scale`.
static inline void gather(const float *restrict line, float *restrict to, int width, float scale) {
    for (int x = 0; x < width; x += CELL) to[x / CELL] = scale * (line[x] + line[x + 1] + line[x + 2] + line[x + 3]);
}

static inline void spread(const float *restrict from, float *restrict line, int width) {
    for (int x = 0; x < width; x++) line[x] = from[x / CELL];
}

// Of one colour of a sample -> its cells; adds both mean absolute differences of its pixels to `fine`.
static void pool(Cells *cells, const Pictures *p, int64_t sample, int colour, double fine[2]) {
    int width = p->width;
    for (int top = 0; top < p->height; top += CELL) {
        float away[SIDE] = {0}, apart[SIDE] = {0}, own[SIDE] = {0}, own_square[SIDE] = {0}, given[SIDE] = {0}, given_square[SIDE] = {0};
        float moved_off = 0, shown_off = 0;
        for (int row = top; row < top + CELL; row++) {
            Lines l;
            read_lines(&l, p, sample, colour, row);
#pragma omp simd reduction(+ : moved_off, shown_off)
            for (int x = 0; x < width; x++) {
                float d = (l.moved[x] - l.target[x]) * l.known[x];
                float shown = clamped(mixed(l.drawn[x], l.moved[x], l.mask[x])), e = shown - l.after[x];
                moved_off += fabsf(d);
                shown_off += fabsf(e);
                away[x] += d;
                apart[x] += e;
                own[x] += shown;
                own_square[x] += shown * shown;
                given[x] += l.after[x];
                given_square[x] += l.after[x] * l.after[x];
            }
        }
        fine[0] += moved_off;
        fine[1] += shown_off;
        int first = top / CELL * (width / CELL);
        gather(away, cells->away + first, width, 1);
        gather(apart, cells->apart + first, width, 1);
        gather(own, cells->own + first, width, 0.0625f);
        gather(own_square, cells->own_square + first, width, 0.0625f);
        gather(given, cells->given + first, width, 0.0625f);
        gather(given_square, cells->given_square + first, width, 0.0625f);
    }
}

static inline float window_mean(const float *cell, int across) {
    return 0.25f * (cell[0] + cell[1] + cell[across] + cell[across + 1]);
}

// -> the variance, which rounding may leave below zero.
static inline float variance(const float *mean, const float *square, int across) {
    float m = window_mean(mean, across);
    return window_mean(square, across) - m * m;
}

static inline float deviation(float variance) { return sqrtf((variance > 0 ? variance : 0) + 1e-4f); }

static inline float less(const Cells *cells, int at, int across, float own) {
    return deviation(own) - deviation(variance(cells->given + at, cells->given_square + at, across));
}

// sums [N, 5]: |(moved - target) known|, the same in cells, |shown - after|, the same in cells, contrast; of each sample.
void picture_losses_forward(const Pictures *p, double *sums, int threads) {
    int across = p->width / CELL, down = p->height / CELL;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < p->batch * p->times; sample++) {
        Cells cells;
        double fine[2] = {0}, away = 0, apart = 0, contrast = 0;
        for (int colour = 0; colour < COLOURS; colour++) {
            pool(&cells, p, sample, colour, fine);
            for (int i = 0; i < across * down; i++) {
                away += fabsf(cells.away[i]);
                apart += fabsf(cells.apart[i]);
            }
            for (int y = 0; y + 1 < down; y++)
                for (int at = y * across; at + 1 < (y + 1) * across; at++)
                    contrast += fabsf(less(&cells, at, across, variance(cells.own + at, cells.own_square + at, across)));
        }
        double found[SUMS] = {fine[0], away, fine[1], apart, contrast};
        memcpy(sums + sample * SUMS, found, sizeof found);
    }
}

// The contrast's gradient to shown, by cell: along[] + slope[] * shown.
static void contrast_backward(const Cells *cells, float *restrict along, float *restrict slope, int across, int down, float grad) {
    memset(along, 0, across * down * sizeof(float));
    memset(slope, 0, across * down * sizeof(float));
    for (int y = 0; y + 1 < down; y++)
        for (int at = y * across; at + 1 < (y + 1) * across; at++) {
            float own = variance(cells->own + at, cells->own_square + at, across);
            if (own < 0) continue;
            float by_square = grad * sign(less(cells, at, across, own)) / (2 * deviation(own)) / (4 * CELL * CELL);
            float by_mean = -2 * window_mean(cells->own + at, across) * by_square;
            int corners[4] = {at, at + 1, at + across, at + across + 1};
            for (int k = 0; k < 4; k++) {
                along[corners[k]] += by_mean;
                slope[corners[k]] += 2 * by_square;
            }
        }
}

// grads: of a pixel in photometric and composed, and of a window in contrast. dmoved [N, 3, H, W]; dknown and dmask
// [N, 1, H, W].
void picture_losses_backward(const Pictures *p, const float grads[3], float *dmoved, float *dknown, float *dmask, int threads) {
    int width = p->width, across = width / CELL, down = p->height / CELL;
    int64_t pixels = p->height * width;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < p->batch * p->times; sample++) {
        Cells cells;
        double fine[2];
        float along[CELLS], slope[CELLS];
        memset(dknown + sample * pixels, 0, pixels * sizeof(float));
        memset(dmask + sample * pixels, 0, pixels * sizeof(float));
        for (int colour = 0; colour < COLOURS; colour++) {
            pool(&cells, p, sample, colour, fine);
            contrast_backward(&cells, along, slope, across, down, grads[2]);
            for (int i = 0; i < across * down; i++) {
                along[i] += grads[1] * sign(cells.apart[i]);
                cells.away[i] = sign(cells.away[i]);
            }
            for (int row = 0; row < p->height; row++) {
                Lines l;
                float away[SIDE], flat[SIDE], steep[SIDE];
                int first = row / CELL * across;
                float *restrict to_moved = dmoved + (sample * COLOURS + colour) * pixels + row * width;
                float *restrict to_known = dknown + sample * pixels + row * width;
                float *restrict to_mask = dmask + sample * pixels + row * width;
                read_lines(&l, p, sample, colour, row);
                spread(cells.away + first, away, width);
                spread(along + first, flat, width);
                spread(slope + first, steep, width);
#pragma omp simd
                for (int x = 0; x < width; x++) {
                    float off = l.moved[x] - l.target[x], by_d = grads[0] * (sign(off * l.known[x]) + away[x]);
                    float whole = mixed(l.drawn[x], l.moved[x], l.mask[x]), shown = clamped(whole);
                    float by_shown = grads[1] * sign(shown - l.after[x]) + flat[x] + steep[x] * shown;
                    by_shown = whole < -0.5f || whole > 0.5f ? 0 : by_shown;
                    to_moved[x] = by_d * l.known[x] + by_shown * l.mask[x];
                    to_known[x] += by_d * off;
                    to_mask[x] += by_shown * (l.moved[x] - l.drawn[x]);
                }
            }
        }
    }
}
