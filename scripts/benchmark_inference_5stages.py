"""Five-stage benchmark of LLaSA on IMU data.

    python scripts/benchmark_inference_5stages.py --max_samples 100 [--llasa_ckpt FOLDER]
        [--imu_path FILE] [--device cuda] [--max_gen_len 64] [--duration_sec 6] [--output_dir DIR]

As benchmark_onellm_5stages.py, for the LIMU-BERT encoder, the projector and LLaSA's Vicuna.
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
    sys.exit(five_stages.main("llasa", "llasa_ckpt"))
