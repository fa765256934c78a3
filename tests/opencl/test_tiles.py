"""What one work-item computes: tiles that fit its registers, enough work-items."""

import pytest

from penjing.targets.cpu.depthwise import Slide
from penjing.targets.mobile_gpus import GPUS, MALI_G7X, OPENCL, MobileGpu
from penjing.targets.opencl.tiles import product_tile, window_tile

ALL = pytest.mark.parametrize("gpu", [OPENCL, *GPUS], ids=lambda gpu: gpu.name)
SMALL = Slide(14, 3, 1, 1)


@ALL
@pytest.mark.parametrize("rows", [1, 7, 49, 3136])
@pytest.mark.parametrize("panel", [4, 8, 16, 56])
def test_products_fit_the_registers_and_divide_the_panel(
    gpu: MobileGpu, rows: int, panel: int
) -> None:
    height, width = product_tile(gpu, rows, 960, panel, 1)
    assert panel % width == 0
    assert height <= rows
    assert height * width < gpu.registers


def test_few_results_get_small_tiles_where_many_items_run() -> None:
    few, many = (product_tile(MALI_G7X, rows, 64, 16, 1) for rows in (49, 12544))
    assert few[0] * few[1] < many[0] * many[1]


def test_one_row_keeps_several_sums_on_what_may_be_a_cpu() -> None:
    _, width = product_tile(OPENCL, 1, 1000, 56, 1)
    assert width > OPENCL.vector_bits // 32


@ALL
def test_windows_take_two_rows_that_fit_the_registers(gpu: MobileGpu) -> None:
    rows, columns = window_tile(gpu, SMALL, SMALL, 1000)
    assert rows == 2
    assert rows * columns * gpu.vector_bits // 32 < gpu.registers


def test_a_single_row_is_a_window_of_one_row() -> None:
    assert window_tile(MALI_G7X, Slide(1, 1, 1, 1), SMALL, 1000)[0] == 1
