// A convolution of 4x4 pixels with stride 2 and padding 1, of planar pictures to channels-last maps of half the size, and
// its gradient to the pictures; the weights are frozen.
//
// oneDNN takes channels-last pictures, which three colours make slow to cast and to copy, and its backward of so few
// channels ran at a tenth of what others do.

#include "rows.h"

enum { COLOURS = 3, SIZE = 4, TAPS = COLOURS * SIZE * SIZE, LANES = 16, TILE = 8, SIDE = 256, MOST = 64 };
enum { COLUMNS = SIDE / 2 + 2 * LANES + 2 };  // of a line of results between zeros

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4)));

typedef struct {
    int64_t samples, height, width, channels;  // of the pictures; channels of the maps, a multiple of LANES
    const float *pictures;                     // [N, 3, H, W], samples and colours may lie apart
    int64_t sample, colour;                    // how far
    const float *weight, *bias;                // [C, 3, 4, 4], [C]
} Halve;

// Lines 2 * row - 1 to 2 * row + 2 of each colour between zeros.
static void read_lines(float lines[COLOURS][SIZE][SIDE + 2 * TILE], const Halve *h, int64_t sample, int row) {
    for (int c = 0; c < COLOURS; c++)
        for (int k = 0; k < SIZE; k++) {
            int y = 2 * row - 1 + k;
            float *line = lines[c][k];
            memset(line, 0, (h->width + 2 * TILE) * sizeof(float));
            if (y >= 0 && y < h->height)
                memcpy(line + 1, h->pictures + sample * h->sample + c * h->colour + y * h->width, h->width * sizeof(float));
        }
}

// out [N, H / 2 * W / 2, C].
void halve_forward(const Halve *h, const Map *out, int threads) {
    int channels = h->channels, wide = h->width / 2, down = h->height / 2;
    float weight[TAPS * MOST];  // by tap: channels side by side
    for (int i = 0; i < channels; i++)
        for (int tap = 0; tap < TAPS; tap++) weight[tap * channels + i] = h->weight[i * TAPS + tap];
#pragma omp parallel for num_threads(threads)
    for (int64_t line = 0; line < h->samples * down; line++) {
        int64_t sample = line / down, row = line % down;
        float lines[COLOURS][SIZE][SIDE + 2 * TILE];
        read_lines(lines, h, sample, row);
        for (int x = 0; x < wide; x += TILE)
            for (int first = 0; first < channels; first += LANES) {
                Lanes sums[TILE];
                for (int k = 0; k < TILE; k++) sums[k] = *(const Lanes *)(h->bias + first);
                for (int tap = 0; tap < TAPS; tap++) {
                    Lanes w = *(const Lanes *)(weight + tap * channels + first);
                    const float *from = lines[tap / 16][tap / 4 % 4] + 2 * x + tap % 4;
                    for (int k = 0; k < TILE; k++) sums[k] += w * from[2 * k];
                }
                for (int k = 0; k < TILE && x + k < wide; k++)
                    write_row((const float *)&sums[k], out, sample, (row * wide + x + k) * channels + first, LANES);
            }
    }
}

typedef float Results[MOST][COLUMNS];  // a line of a map's gradient by channel, from its second column on

static void clear(Results to, const Halve *h) {
    for (int i = 0; i < h->channels; i++) memset(to[i], 0, (h->width / 2 + 2 * LANES + 2) * sizeof(float));
}

static void read_results(Results to, const Halve *h, const Map *dout, int64_t sample, int row) {
    int channels = h->channels, wide = h->width / 2;
    float cell[MOST];
    if (row == h->height / 2) clear(to, h);
    else for (int x = 0; x < wide; x++) {
        read_row(cell, dout, sample, (row * wide + x) * channels, channels);
        for (int i = 0; i < channels; i++) to[i][x + 1] = cell[i];
    }
}

// The gradient to 4 * LANES pixels of a line, by the results below (row `down` of the taps) and above: `even` pixels are
// seen by taps 1 and 3, `odd` ones by 0 and 2.
static inline void add_taps(Lanes even[COLOURS][2], Lanes odd[COLOURS][2], Results results, const Halve *h, int down, int x) {
    for (int i = 0; i < h->channels; i++) {
        const float *weight = h->weight + i * TAPS + down * SIZE, *at = results[i] + x;
        for (int half = 0; half < 2; half++, at += LANES) {
            Lanes before = *(const Lanes *)at, here = *(const Lanes *)(at + 1), next = *(const Lanes *)(at + 2);
            for (int c = 0; c < COLOURS; c++) {
                const float *w = weight + c * SIZE * SIZE;
                even[c][half] += w[1] * here + w[3] * before;
                odd[c][half] += w[0] * next + w[2] * here;
            }
        }
    }
}

// dout [N, H / 2 * W / 2, C] -> dpictures [N, 3, H, W].
void halve_backward(const Halve *h, const Map *dout, float *dpictures, int threads) {
    int wide = h->width / 2;
    int64_t pixels = h->height * h->width;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < h->samples; sample++) {
        Results results[SIZE];  // the last lines that were read, by their number's last bits
        for (int k = 0; k < SIZE; k++) clear(results[k], h);
        read_results(results[0], h, dout, sample, 0);
        for (int y = 0; y < h->height; y++) {
            int below = (y + 1) / 2, down = (y + 1) % 2;  // a tap's row: 1 and 3 see even lines, 0 and 2 odd ones
            if (y % 2) read_results(results[below % SIZE], h, dout, sample, below);
            for (int x = 0; x < wide; x += 2 * LANES) {
                Lanes even[COLOURS][2] = {0}, odd[COLOURS][2] = {0};
                add_taps(even, odd, results[below % SIZE], h, down, x);
                add_taps(even, odd, results[(below + SIZE - 1) % SIZE], h, down + 2, x);
                for (int c = 0; c < COLOURS; c++) {
                    float *to = dpictures + (sample * COLOURS + c) * pixels + y * h->width + 2 * x;
                    const float *a = (const float *)even[c], *b = (const float *)odd[c];
                    for (int i = 0; i < 2 * LANES && x + i < wide; i++) {
                        to[2 * i] = a[i];
                        to[2 * i + 1] = b[i];
                    }
                }
            }
        }
    }
}
