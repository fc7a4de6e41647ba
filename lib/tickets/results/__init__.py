"""Results on disk: records, their store and where each number comes from."""
