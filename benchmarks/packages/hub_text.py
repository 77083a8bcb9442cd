"""KerasHub's backbones for text and sound."""

from __future__ import annotations

from typing import Any

import keras
import keras_hub

M = keras_hub.models

_ENCODER: dict[str, Any] = {
    "vocabulary_size": 200,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": 64,
}
_DECODER: dict[str, Any] = {
    "vocabulary_size": 200,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 64,
}


def _without(given: dict[str, Any], *names: str, **other: Any) -> dict[str, Any]:
    return {**{name: x for name, x in given.items() if name not in names}, **other}


def moonshine() -> keras.Model:
    """Moonshine: sound to text."""
    return M.MoonshineBackbone(
        vocabulary_size=200,
        filter_dim=32,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=32,
        intermediate_dim=64,
        encoder_num_heads=4,
        decoder_num_heads=4,
        feedforward_expansion_factor=4,
    )


MODELS = {
    "KerasHub: BERT": lambda: M.BertBackbone(**_ENCODER),
    "KerasHub: DistilBERT": lambda: M.DistilBertBackbone(**_ENCODER),
    "KerasHub: RoBERTa": lambda: M.RobertaBackbone(**_ENCODER),
    "KerasHub: XLM-RoBERTa": lambda: M.XLMRobertaBackbone(**_ENCODER),
    "KerasHub: ALBERT": lambda: M.AlbertBackbone(**_ENCODER, embedding_dim=16),
    "KerasHub: DeBERTaV3": lambda: M.DebertaV3Backbone(**_ENCODER, bucket_size=16),
    "KerasHub: ELECTRA": lambda: M.ElectraBackbone(
        **_without(_ENCODER, "vocabulary_size", vocab_size=200, embedding_dim=16)
    ),
    "KerasHub: FNet": lambda: M.FNetBackbone(**_without(_ENCODER, "num_heads")),
    "KerasHub: XLNet": lambda: M.XLNetBackbone(**_without(_ENCODER, "max_sequence_length")),
    "KerasHub: ESM-2": lambda: M.ESMBackbone(
        **_without(_ENCODER, "max_sequence_length", max_wavelength=10000, max_sequence_length=64)
    ),
    "KerasHub: T5": lambda: M.T5Backbone(**_without(_ENCODER, "max_sequence_length")),
    "KerasHub: BART": lambda: M.BartBackbone(**_ENCODER),
    "KerasHub: GPT-2": lambda: M.GPT2Backbone(**_ENCODER),
    "KerasHub: GPT-NeoX": lambda: M.GPTNeoXBackbone(**_ENCODER),
    "KerasHub: OPT": lambda: M.OPTBackbone(**_ENCODER),
    "KerasHub: Bloom": lambda: M.BloomBackbone(**_without(_ENCODER, "max_sequence_length")),
    "KerasHub: Falcon": lambda: M.FalconBackbone(
        **_without(_ENCODER, "num_heads", "max_sequence_length", num_attention_heads=4)
    ),
    "KerasHub: Gemma": lambda: M.GemmaBackbone(**_DECODER, head_dim=8),
    "KerasHub: Gemma 2": lambda: M.GemmaBackbone(
        **_DECODER,
        head_dim=8,
        sliding_window_size=5,
        attention_logit_soft_cap=50,
        final_logit_soft_cap=30,
        query_head_dim_normalize=False,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
    ),
    "KerasHub: Gemma 3, text": lambda: M.Gemma3Backbone(
        **_DECODER,
        image_size=16,
        head_dim=8,
        use_query_key_norm=True,
        use_sliding_window_attention=True,
        sliding_window_size=8,
        vision_encoder=None,
    ),
    "KerasHub: Llama": lambda: M.LlamaBackbone(**_DECODER),
    "KerasHub: Mistral": lambda: M.MistralBackbone(**_DECODER, sliding_window=8),
    "KerasHub: Mixtral": lambda: M.MixtralBackbone(**_DECODER, num_experts=4, top_k=2, sliding_window=8),
    "KerasHub: Phi-3": lambda: M.Phi3Backbone(**_DECODER),
    "KerasHub: Qwen 2.5": lambda: M.QwenBackbone(**_DECODER),
    "KerasHub: Qwen 3": lambda: M.Qwen3Backbone(**_DECODER, head_dim=8),
    "KerasHub: Whisper": lambda: M.WhisperBackbone(
        **_without(
            _ENCODER, "max_sequence_length", max_encoder_sequence_length=32, max_decoder_sequence_length=32
        )
    ),
    "KerasHub: Moonshine": moonshine,
}
