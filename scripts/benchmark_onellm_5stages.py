"""Five-stage benchmark of OneLLM on IMU data.

    python scripts/benchmark_onellm_5stages.py --max_samples 100 [--onellm_ckpt FOLDER]
        [--imu_path FILE] [--device cuda] [--max_gen_len 64] [--duration_sec 2] [--output_dir DIR]

Prints mean ± std of each stage, TTFT and decode throughput; writes the raw times as JSON, which
`tracekit bench compare` reads. Every sample is read from disk, and encode ends before prefill
begins.
"""

import sys

try:
    from tracekit.cli import five_stages
except (ImportError, SyntaxError) as fault:  # not installed, or Python is older than 3.11
    sys.exit(
        f"error: {fault}: run ./scripts/demo first (it makes .venv), then "
        f".venv/bin/python {sys.argv[0]}"
    )

if __name__ == "__main__":
    sys.exit(five_stages.main("onellm", "onellm_ckpt"))
