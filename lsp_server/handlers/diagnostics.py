"""``textDocument/diagnostic``: members that do not exist, in code that was accepted from us."""

from __future__ import annotations

import re
from pathlib import Path

from lsprotocol import types

from generation.service import Session
from generation.tools.checks import MEMBER, Problem
from lsp_server.documents import Snapshot
from lsp_server.records import Region
from lsp_server.server import MemberwiseServer


def register(server: MemberwiseServer) -> None:
    """Register the handler."""

    @server.feature(
        types.TEXT_DOCUMENT_DIAGNOSTIC,
        types.DiagnosticOptions(inter_file_dependencies=True, workspace_diagnostics=False, identifier="memberwise"),
    )
    async def diagnostic(params: types.DocumentDiagnosticParams) -> types.RelatedFullDocumentDiagnosticReport:
        snapshot = server.documents.get(params.text_document.uri)
        found: list[types.Diagnostic] = []
        if snapshot is not None and server.settings.diagnostics:
            session, path = server.repositories.of(snapshot.path)
            regions = tuple(server.records.regions(snapshot.uri))
            if session is not None and regions:
                found = await server.run_reading(_diagnostics, session, path, snapshot, regions)
        return types.RelatedFullDocumentDiagnosticReport(items=found)


def _diagnostics(
    session: Session, path: Path, snapshot: Snapshot, regions: tuple[Region, ...]
) -> list[types.Diagnostic]:
    problems = (
        problem
        for region in regions
        for problem in session.check(path, snapshot.text, (region.start, region.end))
        if problem.kind == MEMBER
    )
    return [_diagnostic(snapshot, problem) for problem in dict.fromkeys(problems)]


def _diagnostic(snapshot: Snapshot, problem: Problem) -> types.Diagnostic:
    line = snapshot.lines.line(problem.line)
    found = re.search(rf"(?:\.|\bimport\b.*?\b){re.escape(problem.name)}\b", line)
    column = found.end() - len(problem.name) if found else 0
    start = snapshot.lines.offset(types.Position(problem.line, 0)) + column
    span = snapshot.lines.range(start, start + len(problem.name))
    severity = types.DiagnosticSeverity.Warning
    return types.Diagnostic(span, problem.message, severity, code=problem.kind, source="memberwise")
