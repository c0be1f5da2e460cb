"""Reads the google.rpc details of a failed call."""

from collections.abc import Callable

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status

KINDS = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (details.ErrorInfo, details.BadRequest, details.RetryInfo, details.QuotaFailure, details.ResourceInfo)
}


class Refusal:
    """A refused call: its code and its details by kind."""

    def __init__(self, error: grpc.RpcError):
        self.code = error.code()
        self.message = error.details()
        self.found = {}
        status = rpc_status.from_call(error)
        for packed in status.details if status else []:
            kind = KINDS.get(packed.type_url.rpartition("/")[2])
            if kind:
                self.found[kind] = kind.FromString(packed.value)

    @property
    def reason(self) -> str:
        info = self.found[details.ErrorInfo]
        assert info.domain == "copydesk"
        return info.reason

    @property
    def fields(self) -> set[str]:
        return {violation.field for violation in self.found[details.BadRequest].field_violations}

    @property
    def retry_after(self) -> float:
        delay = self.found[details.RetryInfo].retry_delay
        return delay.seconds + delay.nanos / 1e9


def refusal(call: Callable[[], object]) -> Refusal:
    """Runs the call, which must fail, and reads why."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return Refusal(raised.value)
