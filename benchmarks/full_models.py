# ruff: noqa: E402 - torch is prepared for transformers
"""Full-size models with random weights, generated locally."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FLORENCE_WORDS = 51290
NOT_WORDS = [0, 100, 101, 102, 103, 30522, 30523]  # in BLIP's vocabulary: [SEP] ends a caption
BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}


def make_clip(folder: Path, patch: int) -> Path:
    """Write a full-size CLIP with random weights: ViT-B/32, or ViT-L/14 for `patch` 14."""
    torch.manual_seed(0)
    vision = {**(LARGE if patch == 14 else BASE), "patch_size": patch, "image_size": 224}  # noqa: PLR2004
    dimension = 768 if patch == 14 else 512  # noqa: PLR2004
    text = {"num_hidden_layers": 1, "vocab_size": 49408, "projection_dim": dimension}
    config = CLIPConfig(
        vision_config={**vision, "projection_dim": dimension},
        text_config={**text, "bos_token_id": 49406, "eos_token_id": 49407},
        projection_dim=dimension,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    (folder / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    return folder


def make_blip(folder: Path, *, large: bool = False) -> Path:
    """Write BLIP, base or large, with random weights; it never ends a caption before the limit."""
    torch.manual_seed(0)
    # By default, BLIP's vision tower is initialised so close to zero that a softmax computes with
    # denormals.
    vision = {"image_size": 384, "initializer_range": 0.02}
    vision |= {**LARGE, "patch_size": 16} if large else {}
    text = {"num_attention_heads": 12, "encoder_hidden_size": 1024 if large else 768}
    config = BlipConfig(vision_config=vision, text_config=text)
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[NOT_WORDS] = -1e4
    model.save_pretrained(folder)
    BlipImageProcessorPil().save_pretrained(folder)
    words = ["[PAD]", *(f"w{n}" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"w{n}" for n in range(len(words), config.text_config.vocab_size)]
    BertTokenizerFast(vocab={word: at for at, word in enumerate(words)}).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))  # where older releases look
    return folder


def make_florence(folder: Path) -> Path:
    """Write Florence-2 base with random weights."""
    torch.manual_seed(0)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
    asked = ["what", "does", "the", "image", "describe", "?"]
    words = [*special, *asked]
    words += [f"w{n}" for n in range(len(words), FLORENCE_WORDS)]
    own = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, "<unk>"))
    own.pre_tokenizer = Whitespace()
    own.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=own,
        unk_token="<unk>",  # noqa: S106 - no secret
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        additional_special_tokens=special,
        extra_special_tokens={"image_token": "<image>"},
    )
    heads = {"encoder_attention_heads": 12, "decoder_attention_heads": 12}
    deep = {"encoder_layers": 6, "decoder_layers": 6}
    wide = {"d_model": 768, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    ends = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 2}
    text = {"model_type": "bart", "vocab_size": FLORENCE_WORDS, "max_position_embeddings": 4096}
    config = Florence2Config(
        vision_config={"projection_dim": 768},
        text_config={**text, **heads, **deep, **wide, **ends},
        image_token_id=4,
        is_encoder_decoder=True,
    )
    images = CLIPImageProcessorPil(size={"height": 768, "width": 768}, do_center_crop=False)
    images.image_seq_length = 577
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    Florence2Processor(images, tokenizer).save_pretrained(folder)
    return folder
