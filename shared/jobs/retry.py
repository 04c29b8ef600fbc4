"""How often an activity that has failed is run again, and when (UPD-85, OPS-23)."""

import azure.durable_functions as df


class _GrowingIntervals(df.RetryOptions):  # type: ignore[misc]  # the SDK has no types
    """Each interval is three times the one before. The SDK has no name for that, the host does."""

    def to_json(self) -> dict[str, str | int]:
        return {**super().to_json(), "backoffCoefficient": 3}


RETRY = _GrowingIntervals(first_retry_interval_in_milliseconds=60_000, max_number_of_attempts=4)
"""Again after 1, 3 and 9 minutes. Storage that fails for seconds is not seen here: each request is repeated then."""
