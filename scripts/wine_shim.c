/* Functions of complex numbers for Wine, whose C library (ucrtbase.dll) has none of those that
 * numpy imports. scripts/make_wine.sh compiles this into a library of that name, which hands all
 * other names on to Wine's own.
 *
 * Microsoft's complex numbers are structures, which the compiler passes otherwise than its own
 * complex numbers; its long double is a double. */
#include <complex.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    float parts[2];
} Single;

typedef struct {
    double parts[2];
} Double;

static float complex single_in(Single given) {
    float complex number;
    memcpy(&number, &given, sizeof number);
    return number;
}

static double complex double_in(Double given) {
    double complex number;
    memcpy(&number, &given, sizeof number);
    return number;
}

static Single single_out(float complex number) {
    Single given;
    memcpy(&given, &number, sizeof given);
    return given;
}

static Double double_out(double complex number) {
    Double given;
    memcpy(&given, &number, sizeof given);
    return given;
}

#define REAL(name)                                                                                 \
    float shim_##name##f(Single z) { return name##f(single_in(z)); }                               \
    double shim_##name(Double z) { return name(double_in(z)); }                                    \
    double shim_##name##l(Double z) { return name(double_in(z)); }

#define COMPLEX(name)                                                                              \
    Single shim_##name##f(Single z) { return single_out(name##f(single_in(z))); }                  \
    Double shim_##name(Double z) { return double_out(name(double_in(z))); }                        \
    Double shim_##name##l(Double z) { return double_out(name(double_in(z))); }

REAL(cabs)
REAL(carg)
REAL(cimag)
REAL(creal)

COMPLEX(ccos)
COMPLEX(ccosh)
COMPLEX(cexp)
COMPLEX(csin)
COMPLEX(csinh)
COMPLEX(ctan)
COMPLEX(ctanh)

Single shim_cpowf(Single z, Single power) {
    return single_out(cpowf(single_in(z), single_in(power)));
}

Double shim_cpow(Double z, Double power) {
    return double_out(cpow(double_in(z), double_in(power)));
}

Double shim_cpowl(Double z, Double power) { return shim_cpow(z, power); }

void shim__invoke_watson(const void *expression, const void *function, const void *file,
                         unsigned line, size_t reserved) {
    (void)expression, (void)function, (void)file, (void)line, (void)reserved;
    abort();
}
