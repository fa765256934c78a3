"""Convolutions of 3 x 3 taps with fewer multiplications: Winograd's algorithm.

plan.py says how a layer is cut, transforms.py how tiles are transformed, tile.py and product.py
make their statements, statements.py the whole kernel, epilogue.py schedules it.
"""

from .buffers import Buffers as Buffers
from .epilogue import schedule as schedule
from .plan import Plan as Plan
from .plan import direct_cost as direct_cost
from .plan import winograd_plan as winograd_plan
from .statements import winograd_statement as winograd_statement
from .transforms import matrices as matrices
