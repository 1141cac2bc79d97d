/* SPDX-License-Identifier: Apache-2.0 */
/* The project's own exponential: the same bits on every machine, which no C library promises. */
#ifndef KEN_EXPONENTIAL_H
#define KEN_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/*
 * exp(x) for -700 <= x <= 700, and 0 below; relative error under 2^-51. x = k ln 2 + r with |r| <= ln(2) / 2, the Taylor polynomial
 * of degree 13 in r (remainder 4e-18), then the exponent k. Every operation is an IEEE one, in this order.
 */
static inline double ken_exp(double x)
{
    static const double shifter = 0x1.8p52, log2_e = 0x1.71547652b82fep0, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    double clipped = x < -700 ? -700 : x;
    double shifted = clipped * log2_e + shifter; /* its low bits are k */
    double k = shifted - shifter;
    double r = (clipped - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * (r * r) + r;
    uint64_t bits, scale_bits;
    memcpy(&bits, &shifted, sizeof bits);
    scale_bits = (bits + 1023) << 52; /* all of k above its lowest 12 bits goes out at the top */
    double scale;
    memcpy(&scale, &scale_bits, sizeof scale);
    double result = scale + scale * p;
    return x < -700 ? 0 : result;
}

#endif
