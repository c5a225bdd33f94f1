"""The kernel as machine code for this processor: numba makes it, once, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracekit.trace.scan import grammar, kernel, loops, memory, stacks, values
from tracekit.trace.scan.graphs import steps
from tracekit.trace.scan.layout import SYMBOL, target_machine

_MODULES = (grammar, values, stacks, steps, loops, kernel)  # each calls those before it


def machine_code() -> bytes:
    """An object file with the one function SYMBOL(address) -> status.

    About five seconds. Raises: ImportError without numba.
    """
    import llvmlite.binding as llvm
    import numba

    njit: Any = numba.njit  # its annotations leave out options that it takes
    for name, made in _primitives().items():
        _replace(name, made)
    for step in (step for module in _MODULES for step in module.STEPS):
        # one version each: numba would make one for each constant that is passed
        given = (numba.types.int64,) * step.__code__.co_argcount
        compiled = njit(given, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
            step
        )
        _replace(step.__name__, compiled)
    (code,) = compiled.inspect_llvm().values()
    (name,) = (one.fndesc.llvm_func_name for one in compiled.overloads.values())
    module = llvm.parse_assembly(code)
    for function in module.functions:
        if function.name == name:
            function.name = SYMBOL
        elif not function.is_declaration:
            function.linkage = "internal"
    machine = target_machine(llvm)
    # once more as a whole: what is called once is now known to be
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    found: bytes = machine.emit_object(module)
    return found


def _replace(name: str, compiled: object) -> None:
    """Lets all steps call what is compiled."""
    for module in _MODULES:
        if name in vars(module):
            setattr(module, name, compiled)


def _primitives() -> dict[str, Any]:
    """The functions of `memory` as single instructions."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64, i8 = ir.IntType(64), ir.IntType(8)
    wide = ir.VectorType(i8, memory.WIDTH)

    def made(count: int, body: Callable[..., Any]) -> Any:
        def code(_context: object, builder: Any, _signature: object, given: Any) -> Any:
            return body(builder, *given)

        # numba reads the number of arguments off the function
        if count == 1:
            return intrinsic(lambda _context, one: (types.int64(one), code))
        return intrinsic(lambda _context, one, two: (types.int64(one, two), code))

    def load(kind: Any) -> Callable[..., Any]:
        def body(builder: Any, address: Any) -> object:
            found = builder.load(builder.inttoptr(address, kind.as_pointer()), typ=kind)
            found.align = 1
            return found if kind in (i64, wide) else extend(builder, found)

        return body

    def extend(builder: Any, found: Any) -> object:
        return builder.zext(found, i64) if found.type == i8 else builder.sext(found, i64)

    def store(kind: Any) -> Callable[..., Any]:
        def body(builder: Any, address: Any, value: Any) -> object:
            value = value if kind == i64 else builder.trunc(value, kind)
            builder.store(value, builder.inttoptr(address, kind.as_pointer()), align=1)
            return ir.Constant(i64, 0)

        return body

    def same(builder: Any, some: Any, c: int) -> Any:
        return builder.icmp_unsigned("==", some, ir.Constant(wide, [c] * memory.WIDTH))

    def bits(builder: Any, found: Any) -> object:
        return builder.zext(builder.bitcast(found, ir.IntType(memory.WIDTH)), i64)

    def special(builder: Any, address: object) -> Any:
        some = load(wide)(builder, address)
        # as signed numbers what is no ASCII is below zero
        low = builder.icmp_signed("<", some, ir.Constant(wide, [32] * memory.WIDTH))
        either = builder.or_(same(builder, some, 34), same(builder, some, 92))
        return bits(builder, builder.or_(low, either))

    def dark(builder: Any, address: object) -> object:
        some = load(wide)(builder, address)
        found = same(builder, some, 32)
        for c in b"\t\r\n":
            found = builder.or_(found, same(builder, some, c))
        return bits(builder, builder.not_(found))

    def alike(builder: Any, address: Any, other: Any) -> object:
        one, two = (load(wide)(builder, place) for place in (address, other))
        return bits(builder, builder.icmp_unsigned("==", one, two))

    def mixed(builder: Any, value: Any, more: Any) -> object:
        factor = ir.Constant(i64, memory.FACTOR)
        product = builder.mul(builder.xor(value, more), factor)
        return builder.xor(product, builder.lshr(product, ir.Constant(i64, 32)))

    return {
        "byte": made(1, load(i8)),
        "half": made(1, load(ir.IntType(32))),
        "word": made(1, load(i64)),
        "put_byte": made(2, store(i8)),
        "put_half": made(2, store(ir.IntType(32))),
        "put_word": made(2, store(i64)),
        "special": made(1, special),
        "alike": made(2, alike),
        "dark": made(1, dark),
        "lowest": made(1, lambda builder, mask: builder.cttz(mask, ir.Constant(ir.IntType(1), 1))),
        "mixed": made(2, mixed),
    }
