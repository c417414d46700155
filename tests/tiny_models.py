"""Tiny models of each architecture, with random weights, each made in about a second.

They use the real configuration classes, processors and tokenizers; only the sizes are small. Their
output is nonsense, but in the form that the architecture produces.
"""

# ruff: noqa: E402 - transformers imports torchvision, which can be imported once torch is prepared

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipConfig,
    BlipForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GitConfig,
    GitForCausalLM,
    GPT2Config,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

NEEDS_VNNI: Final = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(),
    reason="this CPU has no VNNI",
)
INT8: Final = pytest.param("int8", marks=NEEDS_VNNI)
NEEDS_BF16: Final = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this CPU has neither AVX-512 nor bf16",
)
BF16: Final = pytest.param("bf16", marks=NEEDS_BF16)
NEEDS_GPU: Final = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SIDE: Final = 32
PATCH: Final = 8
TOWER: Final = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
EYES: Final = {**TOWER, "image_size": SIDE, "patch_size": PATCH}
SQUARE: Final = {"height": SIDE, "width": SIDE}
WORDS: Final = (
    *("a", "an", "the", "photo", "of", "cat", "dog", "boat", "lake", "bird", "tree", "house"),
    *("red", "blue", "green", "white", "black", "on", "in", "at", "with", "and", "next", "to"),
    *("near", "two", "three", "standing", "sitting", "flying", "water", "street", "car", "man"),
    *("woman", "child", "hat", "ball", "describe", "this", "image", "one", "sentence", "for"),
    *("caption", "answer", "what", "does", "show", "detail", "user", "assistant"),
)
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }} : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE {% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}assistant : {% endif %}"
)


def make_model(kind: str, folder: Path) -> Path:
    """Write a tiny model of a kind (a key of `MAKERS`) into a folder, and return the folder."""
    torch.manual_seed(0)
    MAKERS[kind](folder)
    return folder


def tokenizer(special: Sequence[str], around: tuple[str, str] | None = None, **names: Any) -> Any:
    """Return a tokenizer of whole words; `around` are the tokens put before and after a text."""
    words = [*special, *WORDS, ":", ".", ",", "<", ">"]
    own = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, special[0]))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    if around is not None:
        first, last = around
        own.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}".strip(),
            special_tokens=[(word, words.index(word)) for word in around if word],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, unk_token=special[0], additional_special_tokens=[*special], **names
    )


def _bert() -> Any:
    return tokenizer(
        ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[DEC]"),
        ("[CLS]", "[SEP]"),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[DEC]",
    )


def _gpt(*special: str) -> Any:
    return tokenizer(
        ("<unk>", "<pad>", "<s>", "</s>", *special),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )


def _save(folder: Path, *parts: Any) -> None:
    for part in parts:
        part.save_pretrained(folder)


def _clip(folder: Path) -> None:
    words = tokenizer(
        ("<unk>", "<pad>", "<s>", "</s>"),
        ("<s>", "</s>"),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )
    text = {**TOWER, "vocab_size": len(words), "eos_token_id": 3, "bos_token_id": 2}
    config = CLIPConfig(
        text_config={**text, "projection_dim": 16, "pad_token_id": 1},
        vision_config={**EYES, "projection_dim": 16},
        projection_dim=16,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    _save(folder, CLIPModel(config), images, words)


def _siglip(folder: Path) -> None:
    words = tokenizer(("<unk>", "<pad>", "</s>"), ("", "</s>"), pad_token="<pad>")
    text = {**TOWER, "vocab_size": len(words), "max_position_embeddings": 16, "pad_token_id": 1}
    config = SiglipConfig(text_config=text, vision_config=EYES)
    _save(folder, SiglipModel(config), SiglipImageProcessorPil(size=SQUARE), words)


def _siglip_2(folder: Path) -> None:
    words = tokenizer(("<unk>", "<pad>", "</s>"), ("", "</s>"), pad_token="<pad>")
    text = {**TOWER, "vocab_size": len(words), "max_position_embeddings": 16, "pad_token_id": 1}
    eyes = {**TOWER, "patch_size": PATCH, "num_patches": 16}
    config = Siglip2Config(text_config=text, vision_config=eyes)
    images = Siglip2ImageProcessorPil(patch_size=PATCH, max_num_patches=16)
    _save(folder, Siglip2Model(config), images, words)


def _blip(folder: Path) -> None:
    words = _bert()
    text = {**TOWER, "encoder_hidden_size": 32, "vocab_size": len(words)}
    tokens = {"bos_token_id": 4, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 1}
    config = BlipConfig(text_config={**text, **tokens}, vision_config=EYES)
    images = BlipImageProcessorPil(size=SQUARE)
    _save(folder, BlipForConditionalGeneration(config), images, words)


def _blip_2(folder: Path) -> None:
    words = _gpt("<image>")
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    config = Blip2Config(
        vision_config=EYES,
        qformer_config={**TOWER, "encoder_hidden_size": 32, "vocab_size": 8},
        text_config={
            "model_type": "opt",
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 128,
            "vocab_size": len(words),
            **tokens,
        },
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    images = BlipImageProcessorPil(size=SQUARE)
    _save(folder, Blip2ForConditionalGeneration(config), images, words)


def _git(folder: Path) -> None:
    words = _bert()
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    config = GitConfig(**TOWER, vision_config=EYES, vocab_size=len(words), **tokens)
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    _save(folder, GitForCausalLM(config), images, words)


def _vit_gpt2(folder: Path) -> None:
    words = _gpt()
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    speaker = GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=len(words), add_cross_attention=True, **tokens
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**EYES), speaker)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 1, 3
    model = VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 2
    _save(folder, model, ViTImageProcessorPil(size=SQUARE), words)


def _florence(folder: Path) -> None:
    words = tokenizer(
        ("<unk>", "<pad>", "<s>", "</s>", "<image>"),
        ("<s>", "</s>"),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    config = Florence2Config(
        vision_config={
            "embed_dim": [16, 32],
            "depths": [1, 1],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "patch_size": [7, 3],
            "patch_stride": [4, 2],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "window_size": 4,
            "projection_dim": 32,
        },
        text_config={
            "model_type": "bart",
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "vocab_size": len(words),
            "decoder_start_token_id": 3,
            **tokens,
        },
        image_token_id=4,
        is_encoder_decoder=True,
    )
    images = CLIPImageProcessorPil(size=SQUARE, do_center_crop=False)
    images.image_seq_length = 17
    processor = Florence2Processor(images, words)
    _save(folder, Florence2ForConditionalGeneration(config), processor)


def _llava(folder: Path) -> None:
    words = _gpt("<image>")
    config = LlavaConfig(
        vision_config={**EYES, "model_type": "clip_vision_model"},
        text_config=_llama(words),
        image_token_index=4,
        image_seq_length=16,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE)
    processor = LlavaProcessor(
        images,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE.replace("IMAGE", "<image>"),
    )
    _save(folder, LlavaForConditionalGeneration(config), processor)


def _llama(words: Any) -> dict[str, Any]:
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    sizes = {**TOWER, "num_key_value_heads": 2, "max_position_embeddings": 512}
    return {"model_type": "llama", **sizes, "vocab_size": len(words), **tokens}


def _qwen(folder: Path) -> None:
    words = _gpt("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    config = Qwen2_5_VLConfig(
        text_config={
            **TOWER,
            "num_key_value_heads": 2,
            "vocab_size": len(words),
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 2, 4]},
            "bos_token_id": 2,
            "eos_token_id": 3,
            "pad_token_id": 1,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": PATCH,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=4,
        video_token_id=5,
        vision_start_token_id=6,
        vision_end_token_id=7,
    )
    images = Qwen2VLImageProcessorPil(patch_size=PATCH, min_pixels=32 * 32, max_pixels=64 * 64)
    words.chat_template = CHAT_TEMPLATE.replace(
        "IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"
    )
    _save(folder, Qwen2_5_VLForConditionalGeneration(config), images, words)
    (folder / "processor_config.json").write_text('{"processor_class": "Qwen2_5_VLProcessor"}')


def _smolvlm(folder: Path) -> None:
    words = _gpt("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    config = SmolVLMConfig(
        vision_config=EYES,
        text_config=_llama(words),
        image_token_id=4,
        scale_factor=2,
        pad_token_id=1,
    )
    images = SmolVLMImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    words.chat_template = CHAT_TEMPLATE.replace("IMAGE", "<image>")
    _save(folder, SmolVLMForConditionalGeneration(config), images, words)
    (folder / "processor_config.json").write_text(
        '{"processor_class": "SmolVLMProcessor", "image_seq_len": 4}'
    )


MAKERS: Final[dict[str, Callable[[Path], None]]] = {
    "clip": _clip,
    "siglip": _siglip,
    "siglip2": _siglip_2,
    "blip": _blip,
    "blip-2": _blip_2,
    "git": _git,
    "vit-gpt2": _vit_gpt2,
    "florence2": _florence,
    "llava": _llava,
    "qwen2.5-vl": _qwen,
    "smolvlm": _smolvlm,
}
