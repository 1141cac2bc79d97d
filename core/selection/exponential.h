/* SPDX-License-Identifier: Apache-2.0 */
/* The project's own exponential: the same bits on every machine, which no C library promises. */
#ifndef KEN_EXPONENTIAL_H
#define KEN_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/* exp(r) - 1 for |r| <= 0.36, to 2^-54: the Taylor polynomial of degree 13, its terms added by twos, fours and twelve, because a chain of
 * dependent operations is what takes time here. */
static inline double ken_exp_minus_one(double r)
{
    double r2 = r * r, r4 = r2 * r2;
    double low = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
    double middle = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
    double high = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
    return (low + r4 * (middle + r4 * high)) * r2 + r;
}

/*
 * exp(x) for -700 <= x <= 700, and 0 below; relative error under 2^-52. x = k ln 2 + r with |r| <= ln(2) / 2, then the exponent k. Every
 * operation is an IEEE one, in this order.
 */
static inline double ken_exp(double x)
{
    static const double shifter = 0x1.8p52, log2_e = 0x1.71547652b82fep0, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    double clipped = x < -700 ? -700 : x;
    double shifted = clipped * log2_e + shifter; /* its low bits are k */
    double k = shifted - shifter;
    double r = (clipped - k * ln2_high) - k * ln2_low;
    uint64_t bits, scale_bits;
    memcpy(&bits, &shifted, sizeof bits);
    scale_bits = (bits + 1023) << 52; /* all of k above its lowest 12 bits goes out at the top */
    double scale;
    memcpy(&scale, &scale_bits, sizeof scale);
    double result = scale + scale * ken_exp_minus_one(r);
    return x < -700 ? 0 : result;
}

#endif
