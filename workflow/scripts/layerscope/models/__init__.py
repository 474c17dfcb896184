"""Language models: loading, tokenising, batching and pooling; shared by all stages that run one."""
