/* Recognizes gestures in accelerations that a sensor would measure; here a table moves the wrist. */
#include "board.h"
#include "gesture.h"

enum { SAMPLES = 64, AXES = 3 };
static const char *const names[] = {"still", "shake", "circle"};
static const int16_t sine[8] = {0, 707, 1000, 707, 0, -707, -1000, -707}; /* in thousandths of g */

static _Alignas(GESTURE_ARENA_ALIGN) uint8_t arena[GESTURE_ARENA_BYTES];
static _Alignas(GESTURE_ARENA_ALIGN) int8_t window[GESTURE_INPUT0_BYTES];
static _Alignas(GESTURE_ARENA_ALIGN) int8_t scores[GESTURE_OUTPUT0_BYTES];

/* What the sensor would give for an axis; the model was taught with g. */
static int16_t measure(int gesture, int sample, int axis)
{
    if (axis == 2)
        return 1000;
    if (gesture == 0 || (axis == 1 && gesture == 1))
        return (int16_t)(sample % 3 * 50 - 50);
    return sine[(sample + 2 * axis) % 8];
}

/* The integer that stands for an acceleration, rounded. */
static int8_t to_step(int16_t milli_g)
{
    float steps = (float)milli_g * 0.001f / GESTURE_INPUT0_SCALE + GESTURE_INPUT0_ZERO_POINT;
    int32_t nearest = (int32_t)(steps < 0 ? steps - 0.5f : steps + 0.5f);
    return (int8_t)(nearest < -128 ? -128 : nearest > 127 ? 127 : nearest);
}

int main(void)
{
    const void *const inputs[] = {window};
    void *const outputs[] = {scores};
    int wrong = 0;

    for (int gesture = 0; gesture < 3; gesture++) {
        for (int sample = 0; sample < SAMPLES; sample++) /* channels last: x, y, z, x, y, z, ... */
            for (int axis = 0; axis < AXES; axis++)
                window[sample * AXES + axis] = to_step(measure(gesture, sample, axis));
        if (gesture_run(inputs, outputs, arena, sizeof arena) != PENJING_OK)
            return 100;
        int best = 0;
        for (int i = 1; i < 3; i++)
            best = scores[i] > scores[best] ? i : best;
        board_print(names[gesture]);
        board_print(" -> ");
        board_print(names[best]);
        board_print("\n");
        wrong += best != gesture;
    }
    return wrong;
}
