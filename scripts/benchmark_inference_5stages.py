"""Five-stage benchmark of LLaSA on IMU data.

    python scripts/benchmark_inference_5stages.py --max_samples 100 [--llasa_ckpt FOLDER]
        [--imu_path FILE] [--device cuda] [--max_gen_len 64] [--duration_sec 6] [--output_dir DIR]

As benchmark_onellm_5stages.py, for the LIMU-BERT encoder, the projector and LLaSA's Vicuna.
"""

import sys

from tracekit.cli import five_stages

if __name__ == "__main__":
    sys.exit(five_stages.main("llasa", "llasa_ckpt"))
