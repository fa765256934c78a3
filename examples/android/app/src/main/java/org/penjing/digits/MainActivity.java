package org.penjing.digits;

import android.app.Activity;
import android.os.Bundle;
import android.widget.TextView;

/** Shows what the model says about one image, how long that takes, and what runs it. */
public final class MainActivity extends Activity {
    private static final int RUNS = 100;
    private static final String[] IMAGE = {
        "...##...", "..#..#..", ".#....#.", ".#....#.", ".#....#.", ".#....#.", "..#..#..", "...##...",
    };

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        TextView view = new TextView(this);
        view.setText("compiling for this phone...");
        setContentView(view);
        new Thread(() -> {
            String text = recognize();
            runOnUiThread(() -> view.setText(text));
        }).start();
    }

    private String recognize() {
        // The system's code cache is emptied with every update of the app or of Android.
        try (Digits digits = new Digits(getCodeCacheDir())) {
            float[] image = pixels();
            float[] probabilities = digits.classify(image);
            long start = System.nanoTime();
            for (int run = 0; run < RUNS; run++) {
                probabilities = digits.classify(image);
            }
            long microseconds = (System.nanoTime() - start) / RUNS / 1000;
            return "a " + largest(probabilities) + " in " + microseconds + " us by " + digits.device();
        }
    }

    private static float[] pixels() {
        float[] image = new float[Digits.PIXELS];
        for (int i = 0; i < image.length; i++) {
            image[i] = IMAGE[i / 8].charAt(i % 8) == '#' ? 1 : 0;
        }
        return image;
    }

    private static int largest(float[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }
}
