"""Scale runs: how long a night takes and how much memory it needs, as the clinic grows."""
