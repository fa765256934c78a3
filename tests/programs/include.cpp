// The header in a C++ program.
#include "model.h"

#include <cstdint>

static_assert(MODEL_INPUT0_RANK == 2 && MODEL_OUTPUT0_RANK == 1, "ranks");

int main()
{
    const std::int64_t shape[] = MODEL_INPUT0_SHAPE;
    const penjing_model *model = model_describe();
    bool same = shape[1] == model->inputs[0].shape[1] && model->arena_bytes == MODEL_ARENA_BYTES;
    return same && model_run(nullptr, nullptr, nullptr, 0) == PENJING_NULL_INPUT ? 0 : 1;
}
