"""Tiny vision-language models with their processors, in folders as their users have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.grid import made
from tests.grid.families import BASE

TEXT = {**BASE, "head_dim": 8}
TOWER: Mapping[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
SQUARE = {"height": 28, "width": 28}
RULE: Mapping[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}


def tokenizer(*, marked: bool = True, **named: str) -> Any:
    """A byte-level tokenizer with these special tokens after `<image>`, by attribute name.

    It knows `<image>` as its image token where it is `marked`.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = list(dict.fromkeys(["<unk>", "<s>", "</s>", "<pad>", "<image>", *named.values()]))
    names = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocab = {name: number for number, name in enumerate(names)}
    built = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    built.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    built.add_special_tokens([AddedToken(name, special=True) for name in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=built, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={**({"image_token": "<image>"} if marked else {}), **named},
    )  # fmt: skip


def _clip(library: Any) -> Any:
    return library.CLIPVisionConfig(**TOWER)


def _siglip(library: Any) -> Any:
    return library.SiglipVisionConfig(**TOWER, vision_use_head=False)


def _images(library: Any, kind: str, **settings: Any) -> Any:
    return getattr(library, kind)(**settings)


def _written(
    folder: Path, kind: str, images: Any, text: Any, template: str | None = None, **more: Any
) -> None:
    """A processor's parts, for those that transformers puts together only with torchvision."""
    images.save_pretrained(folder)
    text.save_pretrained(folder)
    said = {"processor_class": kind, **more}
    (folder / "processor_config.json").write_text(json.dumps(said))
    if template:
        (folder / "chat_template.jinja").write_text(template)


def llava(library: Any, folder: Path, kind: str = "llava") -> Any:
    config = made.configured(kind, {
        "vision_config": _clip(library), "text_config": library.LlamaConfig(**TEXT),
        "image_token_index": 4,
        **({"vision_feature_layers": [-1, -2]} if kind == "vipllava" else {}),
    })  # fmt: skip
    images = _images(library, "CLIPImageProcessor", size={"shortest_edge": 28}, crop_size=SQUARE)
    library.LlavaProcessor(
        image_processor=images, tokenizer=tokenizer(), patch_size=14,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return config


def vipllava(library: Any, folder: Path) -> Any:
    return llava(library, folder, "vipllava")


def llava_next(library: Any, folder: Path) -> Any:
    pinpoints = [[28, 56], [56, 28]]
    config = made.configured("llava_next", {
        "vision_config": _clip(library), "text_config": library.LlamaConfig(**TEXT),
        "image_token_index": 4, "image_grid_pinpoints": pinpoints,
    })  # fmt: skip
    images = _images(
        library, "LlavaNextImageProcessor", size={"shortest_edge": 28}, crop_size=SQUARE,
        image_grid_pinpoints=pinpoints,
    )  # fmt: skip
    library.LlavaNextProcessor(
        image_processor=images, tokenizer=tokenizer(), patch_size=14,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return config


def llava_onevision(library: Any, folder: Path) -> Any:
    pinpoints = [[28, 28], [28, 56], [56, 28]]
    config = made.configured("llava_onevision", {
        "vision_config": _siglip(library), "text_config": library.Qwen2Config(**BASE),
        "image_token_index": 4, "image_token_id": 4, "video_token_index": 5, "video_token_id": 5,
        "image_grid_pinpoints": pinpoints, "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_select_strategy": "full", "vision_feature_layer": -1,
    })  # fmt: skip
    images = _images(
        library, "LlavaOnevisionImageProcessor", size=SQUARE, image_grid_pinpoints=pinpoints
    )
    _written(
        folder, "LlavaOnevisionProcessor", images, tokenizer(video_token="<video>"),
        num_image_tokens=4, vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    )  # fmt: skip
    return config


QWEN = "<|vs|><image><|ve|>{{ messages[0]['content'][1]['text'] }}"


def _qwen(library: Any, folder: Path, kind: str, processor: str, **vision: Any) -> Any:
    config = made.configured(kind, {
        "text_config": {**TEXT, "rope_parameters": {**RULE, "mrope_section": [2, 1, 1]}},
        "vision_config": {"depth": 2, "num_heads": 4, "in_channels": 3, **vision},
        "image_token_id": 4, "video_token_id": 5, "vision_start_token_id": 6,
        "vision_end_token_id": 7,
    })  # fmt: skip
    patch = vision["patch_size"]
    images = _images(
        library, "Qwen2VLImageProcessor", patch_size=patch, merge_size=2,
        size={"shortest_edge": 4 * patch * patch, "longest_edge": 24 * patch * patch},
    )  # fmt: skip
    names = {"video_token": "<video>", "vision_bos_token": "<|vs|>", "vision_eos_token": "<|ve|>"}
    _written(folder, processor, images, tokenizer(**names), QWEN)
    return config


def qwen2_vl(library: Any, folder: Path) -> Any:
    return _qwen(
        library, folder, "qwen2_vl", "Qwen2VLProcessor", embed_dim=32, hidden_size=32,
        patch_size=14,
    )  # fmt: skip


def qwen2_5_vl(library: Any, folder: Path) -> Any:
    return _qwen(
        library, folder, "qwen2_5_vl", "Qwen2_5_VLProcessor", hidden_size=32, out_hidden_size=32,
        intermediate_size=48, patch_size=14, window_size=28, fullatt_block_indexes=[1],
    )  # fmt: skip


def qwen3_vl(library: Any, folder: Path) -> Any:
    return _qwen(
        library, folder, "qwen3_vl", "Qwen3VLProcessor", hidden_size=32, out_hidden_size=32,
        intermediate_size=48, patch_size=14, num_position_embeddings=64,
        deepstack_visual_indexes=[0],
    )  # fmt: skip


def internvl(library: Any, folder: Path) -> Any:
    config = made.configured("internvl", {
        "vision_config": {**TOWER, "image_size": [28, 28], "patch_size": [14, 14],
                          "model_type": "internvl_vision"},
        "text_config": library.Qwen2Config(**BASE), "image_token_id": 4, "image_seq_length": 1,
    })  # fmt: skip
    images = _images(
        library, "GotOcr2ImageProcessor", size=SQUARE, crop_to_patches=False, max_patches=1
    )
    names = {"start_image_token": "<img>", "end_image_token": "</img>",
             "context_image_token": "<image>", "video_token": "<video>"}  # fmt: skip
    _written(folder, "InternVLProcessor", images, tokenizer(**names), image_seq_length=1)
    return config


def gemma3(library: Any, folder: Path) -> Any:
    config = made.configured("gemma3", {
        "vision_config": _siglip(library), "mm_tokens_per_image": 1, "image_token_index": 4,
        "boi_token_index": 5, "eoi_token_index": 6,
        "text_config": {**TEXT, "sliding_window": 64,
                        "layer_types": ["sliding_attention", "full_attention"]},
    })  # fmt: skip
    images = _images(library, "Gemma3ImageProcessor", size=SQUARE)
    library.Gemma3Processor(
        image_processor=images, tokenizer=tokenizer(boi_token="<boi>", eoi_token="<eoi>"),
        image_seq_length=1, chat_template="<boi>{{ messages[0]['content'][1]['text'] }}",
    ).save_pretrained(folder)  # fmt: skip
    return config


def idefics2(library: Any, folder: Path) -> Any:
    config = made.configured("idefics2", {
        "vision_config": {**TOWER}, "text_config": library.MistralConfig(**TEXT),
        "perceiver_config": {"hidden_size": 32, "resampler_n_latents": 3, "resampler_depth": 1,
                             "resampler_n_heads": 4, "resampler_head_dim": 8,
                             "num_key_value_heads": 2},
        "image_token_id": 4,
    })  # fmt: skip
    images = _images(
        library, "Idefics2ImageProcessor", size={"shortest_edge": 28, "longest_edge": 28},
        do_image_splitting=False,
    )  # fmt: skip
    library.Idefics2Processor(
        image_processor=images, image_seq_len=3,
        tokenizer=tokenizer(image_boundary_token="<fake>", end_of_utterance_token="<end>"),
        chat_template="<image>{{ messages[0]['content'][1]['text'] }}",
    ).save_pretrained(folder)  # fmt: skip
    return config


def idefics3(library: Any, folder: Path) -> Any:
    config, images, names, template = _split_pictures(library, "idefics3", "Idefics3")
    library.Idefics3Processor(
        image_processor=images, image_seq_len=1, tokenizer=tokenizer(**names),
        chat_template=template,
    ).save_pretrained(folder)  # fmt: skip
    return config


def smolvlm(library: Any, folder: Path) -> Any:
    config, images, names, template = _split_pictures(library, "smolvlm", "SmolVLM")
    _written(folder, "SmolVLMProcessor", images, tokenizer(**names), template, image_seq_len=1)
    return config


def _split_pictures(library: Any, kind: str, name: str) -> tuple[Any, Any, dict[str, str], str]:
    """Configuration, image processor, tokens and template of Idefics 3 and of what follows it."""
    config = made.configured(kind, {
        "vision_config": {**TOWER}, "text_config": library.LlamaConfig(**TEXT), "scale_factor": 2,
        "image_token_id": 4,
    })  # fmt: skip
    images = _images(
        library, f"{name}ImageProcessor", size={"longest_edge": 28}, do_image_splitting=False,
        max_image_size={"longest_edge": 28},
    )  # fmt: skip
    names = {"fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
             "end_of_utterance_token": "<end>"}  # fmt: skip
    return config, images, names, "<image>{{ messages[0]['content'][1]['text'] }}"


def paligemma(library: Any, folder: Path) -> Any:
    config = made.configured("paligemma", {
        "vision_config": {**TOWER, "model_type": "siglip_vision_model", "vision_use_head": False,
                          "projection_dim": 32},
        "text_config": {**TEXT, "model_type": "gemma", "num_image_tokens": 4},
        "image_token_index": 4, "projection_dim": 32,
    })  # fmt: skip
    images = _images(library, "SiglipImageProcessor", size=SQUARE)
    images.image_seq_length = 4
    library.PaliGemmaProcessor(
        image_processor=images, tokenizer=tokenizer()
    ).save_pretrained(folder)  # fmt: skip
    return config


def _queries(library: Any, kind: str) -> Any:
    former = {
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "encoder_hidden_size": 32, "cross_attention_frequency": 1,
    }  # fmt: skip
    return made.configured(kind, {
        "vision_config": {**TOWER, "qkv_bias": True}, "qformer_config": former,
        "text_config": {**BASE, "model_type": "opt", "word_embed_proj_dim": 32, "ffn_dim": 48},
        "num_query_tokens": 3, "image_token_index": 4,
    })  # fmt: skip


def blip_2(library: Any, folder: Path) -> Any:
    images = _images(library, "BlipImageProcessor", size=SQUARE)
    library.Blip2Processor(
        image_processor=images, tokenizer=tokenizer(marked=False), num_query_tokens=3
    ).save_pretrained(folder)
    return _queries(library, "blip-2")


def aya_vision(library: Any, folder: Path) -> Any:
    config = made.configured("aya_vision", {
        "vision_config": _siglip(library), "text_config": library.Cohere2Config(**TEXT),
        "image_token_index": 4, "downsample_factor": 2, "vision_feature_layer": -1,
    })  # fmt: skip
    images = _images(
        library, "GotOcr2ImageProcessor", size=SQUARE, crop_to_patches=False, max_patches=1
    )
    names = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE",
             "TILE_GLOBAL")  # fmt: skip
    text = tokenizer(**{f"token_{number}": name for number, name in enumerate(names)})
    library.AyaVisionProcessor(
        image_processor=images, tokenizer=text, patch_size=14, img_size=28, downsample_factor=2,
        image_token="<image>", img_patch_token="<image>",
    ).save_pretrained(folder)  # fmt: skip
    return config


def mistral3(library: Any, folder: Path) -> Any:
    tower = {**TOWER, "head_dim": 8, "image_size": 56, "rope_parameters": {
        "rope_theta": 10000.0, "rope_type": "default"}}  # fmt: skip
    config = made.configured("mistral3", {
        "vision_config": library.PixtralVisionConfig(**tower),
        "text_config": library.MistralConfig(**TEXT), "image_token_index": 4,
        "image_token_id": 4, "spatial_merge_size": 2,
    })  # fmt: skip
    images = _images(library, "PixtralImageProcessor", size={"longest_edge": 56},
                     patch_size={"height": 14, "width": 14})  # fmt: skip
    text = tokenizer(image_break_token="[IMG_BREAK]", image_end_token="[IMG_END]")
    _written(folder, "PixtralProcessor", images, text, patch_size=14, spatial_merge_size=2,
             image_token="<image>", image_break_token="[IMG_BREAK]",
             image_end_token="[IMG_END]")  # fmt: skip
    return config


# what a family's processor wants that is no dependency of ours
WANTED: Mapping[str, str] = {"smolvlm": "num2words", "mistral3": "torchvision"}
FAMILIES: Mapping[str, Callable[[Any, Path], Any]] = {
    "aya_vision": aya_vision, "blip-2": blip_2, "gemma3": gemma3, "idefics2": idefics2,
    "idefics3": idefics3, "internvl": internvl, "llava": llava, "llava_next": llava_next,
    "llava_onevision": llava_onevision, "mistral3": mistral3, "paligemma": paligemma,
    "qwen2_5_vl": qwen2_5_vl, "qwen2_vl": qwen2_vl, "qwen3_vl": qwen3_vl, "smolvlm": smolvlm,
    "vipllava": vipllava,
}  # fmt: skip


def built(kind: str, folder: Path) -> Any:
    """The family's model with random weights, saved with its processor."""
    library = made.library()
    folder.mkdir()
    config = FAMILIES[kind](library, folder)
    torch.manual_seed(0)
    return made.saved(library.AutoModelForImageTextToText.from_config(config), folder)


__all__: Sequence[str] = ("FAMILIES", "built", "tokenizer")
