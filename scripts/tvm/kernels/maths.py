"""Functions of floats that LLVM can keep in vectors; the C library's would be called once for each lane."""

import math

from tvm import tirx

# A quotient of polynomials for erf on [-4, 4], beyond which it is 1 in single precision: Eigen's.
ERF_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
# exp on [-log(2)/2, log(2)/2]: Cephes' expf. The last two coefficients are 1.
EXP = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
    1.0,
    1.0,
)
# log(2) in two parts, the first of which has few bits, so that its product with a small integer is exact.
LOG_2_HIGH, LOG_2_LOW = 0.693359375, -2.12194440e-4
EXP_LEAST = -87.0  # Below, the result has no normal float: it stays at 1.6e-38.


def number(value):
    """A float32 constant."""
    return tirx.const(value, "float32")


def polynomial(coefficients, x):
    """The polynomial with these coefficients, the highest power first."""
    total = number(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + number(coefficient)
    return total


def erf(x):
    """The error function, to 4 units in the last place."""
    x = tirx.max(tirx.min(x, number(4)), number(-4))
    square = x * x
    return x * polynomial(ERF_ABOVE, square) / polynomial(ERF_BELOW, square)


def gelu(x):
    """The exact GELU: x * (1 + erf(x / sqrt(2))) / 2."""
    return x * number(0.5) * (erf(x * number(math.sqrt(0.5))) + number(1))


def exp(x):
    """e to the power of x, for x up to 0: 2 to a whole power, times the rest by a polynomial."""
    x = tirx.max(x, number(EXP_LEAST))
    whole = tirx.nearbyint(x * number(math.log2(math.e)))
    rest = x - whole * number(LOG_2_HIGH) - whole * number(LOG_2_LOW)
    power = (tirx.Cast("int32", whole) + tirx.const(127, "int32")) << tirx.const(23, "int32")
    return polynomial(EXP, rest) * tirx.reinterpret("float32", power)
