"""An untrained CLIP and BLIP of the real architectures, hundreds of times smaller."""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional

import demo
from demo.model_classes import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)

CLIP_FOLDER, BLIP_FOLDER = demo.CLIP_FOLDER, demo.BLIP_FOLDER
IMAGE_SIZE = 64  # pixels a side
PATCH_SIZE = 8
CLIP_DIMENSION = 64
CLIP_MERGES = 400
WORD_END = "</w>"
TOWER = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
}


def make_clip(texts: Iterable[str]) -> tuple[CLIPModel, CLIPProcessor]:
    """Return an untrained CLIP and its processor; the vocabulary is learned from `texts`."""
    tokenizer = _clip_tokenizer(texts)
    config = CLIPConfig(
        text_config={
            **TOWER,
            "num_hidden_layers": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 77,
            "projection_dim": CLIP_DIMENSION,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            **TOWER,
            "num_hidden_layers": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "projection_dim": CLIP_DIMENSION,
        },
        projection_dim=CLIP_DIMENSION,
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return CLIPModel(config), CLIPProcessor(image_processor=images, tokenizer=tokenizer)


def make_blip(texts: Iterable[str]) -> tuple[BlipForConditionalGeneration, BlipProcessor]:
    """Return an untrained BLIP captioner and its processor, with the words of `texts`."""
    tokenizer = _bert_tokenizer(texts)
    config = BlipConfig(
        text_config={
            **TOWER,
            "encoder_hidden_size": TOWER["hidden_size"],
            "num_hidden_layers": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            **TOWER,
            "num_hidden_layers": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
        },
        projection_dim=CLIP_DIMENSION,
        image_text_hidden_size=CLIP_DIMENSION,
    )
    images = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    model = BlipForConditionalGeneration(config)
    return model, BlipProcessor(image_processor=images, tokenizer=tokenizer)


def embed_images(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return normalised image vectors, (N, dimension), for pixels of (N, 3, side, side)."""
    pooled = model.vision_model(pixel_values=pixels).pooler_output
    return functional.normalize(model.visual_projection(pooled), dim=-1)


def embed_texts(model: CLIPModel, **tokens: torch.Tensor) -> torch.Tensor:
    """Return normalised text vectors, (N, dimension), for the output of the tokenizer."""
    pooled = model.text_model(**tokens).pooler_output
    return functional.normalize(model.text_projection(pooled), dim=-1)


def _clip_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """Return CLIP's byte-level BPE with its full alphabet, so that it can encode any text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + CLIP_MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator([text.lower() for text in texts], trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    pieces = [*alphabet, *(letter + WORD_END for letter in alphabet), *map("".join, merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _bert_tokenizer(texts: Iterable[str]) -> BertTokenizer:
    """Return BERT's WordPiece: the words of `texts`, and single letters for all others."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
    words = sorted({word for text in texts for word in text.lower().replace("-", " - ").split()})
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [*letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*specials, *pieces]))}
    return BertTokenizer(vocab=vocabulary, bos_token="[DEC]", model_max_length=64)  # noqa: S106
