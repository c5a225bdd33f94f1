"""What a replay of BEFORE says of the changes that a comparison explains."""

from tests.drawing import draw
from tests.unit.test_compare import answered
from tracekit.comparison import compare, predicted, tables
from tracekit.comparison.compare import Comparison
from tracekit.trace.trace import Trace

NAMES = {
    "p": "tracekit::decode", "A": "ampere_sgemm", "B": "vectorized_elementwise_kernel",
    **dict.fromkeys("ab", "cudaLaunchKernel"), "y": "cudaDeviceSynchronize",
}  # fmt: skip
# A column is 1 µs. The GEMM ends at 10; the host is late with B, and waits for it.
BEFORE = draw(
    """
    mark      pppppppppppppppppp
    host      a......b..yyyyyyy.
    stream 7  ..AAAAAAAABBBBBB..
    """,
    names=NAMES,
)
# A takes 2 instead of 8, B 3 instead of 6: B still begins no sooner than 9, and ends at 12
AFTER = draw(
    """
    mark      pppppppppppppp....
    host      a......b..yyy.....
    stream 7  ..AA.....BBB......
    """,
    names=NAMES,
)


def foretold(before: Trace, after: Trace) -> Comparison:
    one, two = answered(before), answered(after)
    return predicted.with_prediction(compare.compare(one, two), one, two, before)


def test_each_category_is_predicted_alone_and_all_together_beside_what_was_measured() -> None:
    found = foretold(BEFORE, AFTER)
    assert found.prediction is not None
    rows = {(row.change, row.stage): row for row in found.prediction.rows}
    # a GEMM of 2 ends at 4: B waits for its launch until 9, which saves 1 of its 6
    gemm = rows["gemm kernels", "whole trace"]
    assert (gemm.kernel_ns, gemm.predicted_ns, gemm.measured_ns) == (-6_000, -1_000, None)
    # B of 3 begins at 10 as before, and ends at 13 instead of 16
    touching = rows["elementwise kernels", "whole trace"]
    assert (touching.kernel_ns, touching.predicted_ns) == (-3_000, -3_000)
    window = rows[predicted.ALL, "whole trace"]
    assert (window.kernel_ns, window.predicted_ns, window.measured_ns) == (-9_000, -4_000, -4_000)
    decode = rows[predicted.ALL, "decode"]
    assert (decode.clock, decode.predicted_ns, decode.measured_ns) == (
        "host wall", -4_000, -4_000,
    )  # fmt: skip
    grid = next(grid for grid in tables.tables(found) if grid.key == "predicted")
    assert [row[0] for row in grid.rows] == [
        "gemm kernels", "elementwise kernels",
        f"{predicted.ALL}: decode", f"{predicted.ALL}: whole trace",
    ]  # fmt: skip
    assert found.to_json()["prediction"]["rows"][0]["change"] == "gemm kernels"


def test_what_cannot_be_predicted_says_why() -> None:
    same = foretold(BEFORE, BEFORE).prediction
    assert same is not None
    assert same.rows == ()
    assert "no category" in same.why_not
    lost = draw("""
        mark      pppppp
        stream 7  .AAAA.
    """, names=NAMES)  # fmt: skip
    changed = draw("""
        mark      pppppp
        stream 7  .AA...
    """, names=NAMES)  # fmt: skip
    nothing = foretold(lost, changed).prediction
    assert nothing is not None
    assert nothing.why_not.startswith("the trace before cannot be replayed: no launch")


def test_only_what_a_replay_could_tell_is_read_for() -> None:
    one, two = answered(BEFORE), answered(AFTER)
    result = compare.compare(one, two)
    assert predicted.tells(result, one, two)
    assert not predicted.tells(compare.compare(one, one), one, one)
    assert result.prediction is None
