package org.penjing.digits;

import java.io.File;

/** The compiled model. Use it from one thread at a time. */
final class Digits implements AutoCloseable {
    static final int PIXELS = 8 * 8;
    static final int CLASSES = 10;

    static {
        System.loadLibrary("digits_jni");
    }

    private long handle;

    /** The first call on a phone compiles and checks the kernels; the cache saves that later. */
    Digits(File cache) {
        handle = create(cache.getPath());
    }

    /** The GPU that runs the model, or why the CPU does. */
    String device() {
        return device(handle);
    }

    /** The probability of each digit; pixels are 0 for white to 1 for black, row by row. */
    float[] classify(float[] image) {
        float[] probabilities = new float[CLASSES];
        run(handle, image, probabilities);
        return probabilities;
    }

    @Override
    public void close() {
        destroy(handle);
        handle = 0;
    }

    private static native long create(String cache);

    private static native void destroy(long handle);

    private static native String device(long handle);

    private static native void run(long handle, float[] image, float[] probabilities);
}
