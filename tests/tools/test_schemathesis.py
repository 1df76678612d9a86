"""Requests that nobody thought of, made from the API's own document: each answer is one that it names."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from devstack.stack.identities import Bearer
from devstack.stack.stack import Stack
from domain.identities import Role

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 10  # of each operation; the same ones in every run
OPERATIONS = 81
FREELY = {"ORDERSAGA_LIMIT_DECLINES": "1000/s"}


async def test_every_answer_is_one_that_the_document_names(tmp_path: Path) -> None:
    """By the shop's own people, who may use nearly every route."""
    async with Stack(tmp_path, environ=os.environ | FREELY) as stack:
        who = Bearer(stack.folder, Role.SHOP, Role.OPERATIONS).header["Authorization"]
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.urls.api}/openapi.json"),
            *("--header", f"Authorization: {who}", "--checks", CHECKS, "--phases", "examples,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--generation-deterministic", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()[-6000:]
    tested = re.search(r"Tested: (\d+)", said.decode())
    assert tested and int(tested[1]) >= OPERATIONS
