"""A complete detection configuration in text, from which tests make their variants."""

from __future__ import annotations

SECTIONED = """\
task: detection
model:
  architecture:
    hidden_size: 64
    num_hidden_layers: 2
    num_attention_heads: 4
    num_key_value_heads: 2
    intermediate_size: 128
    vision_hidden_size: 32
    vision_depth: 2
    vision_num_heads: 2
    vision_intermediate_size: 64
    vision_window_size: 112
    vision_fullatt_block_indexes: [1]
    vocab_size: 1000
  model_max_length: 1024
  attn_implementation: sdpa
data:
  train: data/train.jsonl
  val: data/val.jsonl
  max_examples: null
  teacher_ratio: 0.0
  num_teachers: 1
  collator_type: standard
  min_pixels: 784
  max_pixels: 200704
  vision_tokens_warn: 200
  vision_tokens_max: 500
  vision_tokens_policy: resize
  over_length_policy: refuse
  prompt_language: zh
  vocabulary: closed
  augmentation:
    horizontal_flip: 0.5
    vertical_flip: 0.0
    rotate90: 0.0
    scale_min: 1.0
    scale_max: 1.0
    brightness: 0.1
    contrast: 0.1
    saturation: 0.1
    hue: 0.02
    mosaic: 0.0
    min_visible: 0.3
training:
  output_dir: runs/example
  run_name: example
  seed: 17
  num_train_epochs: 3
  max_steps: -1
  per_device_train_batch_size: 8
  per_device_eval_batch_size: 8
  gradient_accumulation_steps: 1
  vision_lr: 1e-3
  merger_lr: 1.0e-3
  llm_lr: 5e-4
  detection_lr: 0.001
  adapter_lr: 1E-3
  weight_decay: 0.01
  adam_beta2: 0.99
  lr_scheduler_type: cosine
  warmup_ratio: 0.05
  max_grad_norm: 1.0
  ema_decay: null
  bf16: false
  gradient_checkpointing: false
  detection_freeze_epochs: 0.0
  eval_steps: 100
  save_steps: 100
  save_total_limit: 2
  logging_steps: 10
  metric_for_best_model: AP50
detection:
  detection_enabled: true
  detection_queries: proposals
  detection_num_queries: 100
  detection_hidden_size: 64
  detection_num_heads: 4
  detection_ffn_size: 128
  detection_decoder_num_layers: 2
  detection_caption_decoder_num_layers: 2
  detection_caption_max_tokens: 24
  detection_adapter_bottleneck_ratio: 8
  detection_sampling_points: 4
  detection_positives_per_object: 4
  detection_dropout: 0.0
  detection_bbox_weight: 5.0
  detection_giou_weight: 2.0
  detection_objectness_weight: 1.0
  detection_type_weight: 1.0
  detection_caption_weight: 1.0
  detection_proposal_weight: 1.0
  detection_focal_alpha: 0.25
  detection_focal_gamma: 2.0
  detection_objectness: iou_aware
  detection_caption_normalization: samples
infrastructure:
  device: cpu
  report_to: [tensorboard]
  dataloader_num_workers: 0
  log_level: info
"""
