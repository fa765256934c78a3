"""Language and speech models of `transformers`, small and with random weights."""

from typing import Any

import torch
import transformers as hf
from torch import nn

VOCABULARY = 61
TOKENS = 11
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
DECODER: dict[str, Any] = {**SIZES, "num_key_value_heads": 2, "use_cache": False}
SPECIAL: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

Inputs = dict[str, torch.Tensor]


def token_inputs(batch: int = 2) -> Inputs:
    """Token ids and a mask that hides the tail of the second sequence."""
    ids = torch.randint(3, VOCABULARY, (batch, TOKENS))
    mask = torch.ones(batch, TOKENS, dtype=torch.long)
    mask[-1, TOKENS - 4 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def left_padded_inputs() -> Inputs:
    """Token ids and a mask that hides the head of the second sequence, as for generation."""
    inputs = token_inputs()
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"].flip(1)}


def bert() -> tuple[nn.Module, Inputs]:
    return hf.BertModel(hf.BertConfig(**SIZES)), token_inputs()


def distilbert() -> tuple[nn.Module, Inputs]:
    config = hf.DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=40,
    )
    return hf.DistilBertModel(config), token_inputs()


def roberta() -> tuple[nn.Module, Inputs]:
    return hf.RobertaForSequenceClassification(hf.RobertaConfig(**SIZES, **SPECIAL)), token_inputs()


def albert() -> tuple[nn.Module, Inputs]:
    return hf.AlbertModel(hf.AlbertConfig(**SIZES, embedding_size=16)), token_inputs()


def mobilebert() -> tuple[nn.Module, Inputs]:
    sizes = {**SIZES, "embedding_size": 16, "intra_bottleneck_size": 16}
    return hf.MobileBertModel(hf.MobileBertConfig(**sizes)), token_inputs()


def electra() -> tuple[nn.Module, Inputs]:
    return hf.ElectraModel(hf.ElectraConfig(**SIZES, embedding_size=16)), token_inputs()


def squeezebert() -> tuple[nn.Module, Inputs]:
    config = hf.SqueezeBertConfig(**SIZES, embedding_size=32)
    return hf.SqueezeBertModel(config), token_inputs()


def modernbert() -> tuple[nn.Module, Inputs]:
    sizes = {**SIZES, "local_attention": 4, **SPECIAL, "cls_token_id": 1, "sep_token_id": 2}
    return hf.ModernBertModel(hf.ModernBertConfig(**sizes, num_labels=2)), token_inputs()


def gpt2() -> tuple[nn.Module, Inputs]:
    config = hf.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=40, use_cache=False
    )
    return hf.GPT2LMHeadModel(config), left_padded_inputs()


def opt() -> tuple[nn.Module, Inputs]:
    sizes = {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "use_cache": False}
    return hf.OPTModel(hf.OPTConfig(**sizes)), token_inputs()


def llama() -> tuple[nn.Module, Inputs]:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**DECODER)), left_padded_inputs()


def qwen2() -> tuple[nn.Module, Inputs]:
    config = hf.Qwen2Config(**{**DECODER, "use_cache": True}, tie_word_embeddings=True)
    return hf.Qwen2ForCausalLM(config), token_inputs()


def mistral() -> tuple[nn.Module, Inputs]:
    return hf.MistralModel(hf.MistralConfig(**DECODER, sliding_window=5)), token_inputs()


def gemma2() -> tuple[nn.Module, Inputs]:
    config = hf.Gemma2Config(**DECODER, head_dim=8, sliding_window=5, query_pre_attn_scalar=8)
    return hf.Gemma2Model(config), token_inputs()


def phi3() -> tuple[nn.Module, Inputs]:
    return hf.Phi3Model(hf.Phi3Config(**DECODER, **SPECIAL)), token_inputs()


def mixtral() -> tuple[nn.Module, Inputs]:
    config = hf.MixtralConfig(**DECODER, num_local_experts=4, num_experts_per_tok=2)
    return hf.MixtralModel(config), token_inputs()


def mamba() -> tuple[nn.Module, Inputs]:
    config = hf.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=32, state_size=4, num_hidden_layers=2, use_cache=False
    )
    return hf.MambaModel(config), {"input_ids": token_inputs(1)["input_ids"]}


def t5_encoder() -> tuple[nn.Module, Inputs]:
    config = hf.T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        use_cache=False,
    )
    return hf.T5EncoderModel(config), token_inputs()


def whisper_encoder() -> tuple[nn.Module, Inputs]:
    config = hf.WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_layers=1,
        decoder_attention_heads=4,
        max_source_positions=20,
        **SPECIAL,
        decoder_start_token_id=1,
    )
    return hf.WhisperModel(config).encoder, {"input_features": torch.randn(1, 16, 40)}


def wav2vec2() -> tuple[nn.Module, Inputs]:
    config = hf.Wav2Vec2Config(
        **SIZES,
        conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
        num_feat_extract_layers=3,
    )
    return hf.Wav2Vec2Model(config), {"input_values": torch.randn(1, 400)}


def clip_text() -> tuple[nn.Module, Inputs]:
    config = hf.CLIPTextConfig(**SIZES, **SPECIAL, projection_dim=16)
    inputs = token_inputs()
    inputs["input_ids"][:, 6] = 2
    return hf.CLIPTextModelWithProjection(config), inputs
