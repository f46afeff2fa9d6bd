"""From a publisher's file to a version that predicts, and what to tell about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.pretrained import PRETRAINED
from pspnet_core.project.project import Notice, Project
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.windows.progress_flow import ProgressFlow

if TYPE_CHECKING:
    from pspnet_core.training.imported import Imported

_PATIENCE_MS = 400
_WIDTH_PX = 360
_MAX_FILES = 2
_MAX_NAMED = 8


class ImportFlow(ProgressFlow):
    """Imports published weights into the open project, one import at a time.

    Args:
        session: Its project gets the version, and the network's classes where it has none.
        training: Its current version becomes the imported one.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError`` or a ``Notice``.
    """

    def __init__(self, session: Session, training: Training, window: QWidget, show: Callable[[object], None]) -> None:
        super().__init__(window)
        self._session, self._training, self._window, self._show = session, training, window, show
        session.project_changed.connect(self._on_cancelled)

    def ask(self) -> None:
        """Ask for the file, or for two, and import."""
        project = self._session.project
        assert project is not None, "no project is open"
        if self._progress is not None:
            self._progress.show()
            self._progress.raise_()
            return
        files, _ = QFileDialog.getOpenFileNames(
            self._window,
            tr("Import weights (two files for an encoder and its decoder)"),
            str(Path.home()),
            tr("Weights (*.pth *.pt *.pdparams *.safetensors);;All files (*)"),
        )
        if files:
            self.start(project, [Path(file) for file in files])

    def start(self, project: Project, files: Sequence[Path]) -> None:
        """Import ``files`` as a version of ``project``, and use it."""
        if len(files) > _MAX_FILES:
            self._show(
                PspnetError(
                    tr("{count} files were chosen.").format(count=len(files)),
                    tr("A network is one file, or two: an encoder and its decoder."),
                    tr("Choose fewer files."),
                )
            )
            return
        progress = self._progress = QProgressDialog(
            tr("Reading {name}…").format(name=files[0].name), tr("Cancel"), 0, 0, self._window
        )
        progress.setWindowTitle(tr("Import weights"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancelled)

        def read() -> Iterator[Any]:
            from pspnet_core.training.imported import reading_network

            yield (yield from reading_network(files))

        self._run(progress, read, lambda checkpoint: self._add(progress, project, checkpoint, files))

    # --- inside

    def _add(self, progress: QProgressDialog, project: Project, checkpoint: Any, files: Sequence[Path]) -> None:
        before = project.classes
        takes_classes = not len(before)
        try:
            classes = project.with_classes(checkpoint.classes) if takes_classes else before
        except PspnetError as error:
            self._on_error(progress, error)
            return
        written: list[Imported] = []

        def add() -> Iterator[Any]:
            from pspnet_core.training.imported import adding_imported

            imported = yield from adding_imported(project, checkpoint, classes)
            written.append(imported)
            yield imported

        def on_done(imported: Imported) -> None:
            if takes_classes and project.classes != before:  # a person added some meanwhile: fit it to them
                self._discard(project, written)
                self._add(progress, project, checkpoint, files)
                return
            self._close(progress)
            if takes_classes:
                self._session.add_classes(checkpoint.classes)
            self._training.take_imported(imported.version.number)
            self._show(words_of(imported, files[0].name, takes_classes))

        progress.setLabelText(tr("Fitting it to the classes…"))
        self._run(progress, add, on_done, lambda: self._discard(project, written))

    def _discard(self, project: Project, written: Sequence[Imported]) -> None:
        """Leave no version behind that nobody wanted any more when it was written."""
        from pspnet_core.training.versions import VersionStore

        try:
            for imported in written:
                VersionStore(project.folder / "versions").remove(imported.version.number)
        except PspnetError as error:
            self._show(error)

    def _run(
        self,
        progress: QProgressDialog,
        job: Callable[[], Iterator[Any]],
        on_done: Callable[[Any], None],
        on_cancelled: Callable[[], None] | None = None,
    ) -> None:
        self._job = self._session.runner.submit(
            Lane.TORCH,
            job,
            name=tr("importing weights"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=lambda error: self._on_error(progress, error),
            on_cancelled=on_cancelled,
        )

    def _on_error(self, progress: QProgressDialog, error: PspnetError) -> None:
        self._close(progress)
        self._show(error)


def words_of(imported: Imported, file_name: str, took_classes: bool) -> Notice:
    """What is shown after an import: what was kept, what is new, what was guessed.

    Args:
        imported: What came of it.
        file_name: Of the (first) file.
        took_classes: Whether the project had no classes and has those of the network now.
    """
    title = tr("{file} is version {number} now, and in use.").format(file=file_name, number=imported.version.number)
    backbone = PRETRAINED[imported.backbone].title if imported.backbone in PRETRAINED else imported.backbone
    lines = [tr("A network with {backbone}, as {publisher} publishes it.")]
    if imported.publisher == "studio":
        lines = [tr("A network with {backbone}, made by this program.")]
    if took_classes:
        lines.append(tr("The project had no classes; it has those of the network now: {names}."))
    elif imported.known:
        lines.append(tr("It knows these classes: {names}."))
    else:
        lines.append(
            tr("It knows none of the project's classes: what it has learned about others helps to learn them.")
        )
    if imported.new:
        lines.append(tr("It has yet to learn: {new}."))
    if imported.dropped and not took_classes:
        lines.append(tr("Left out, because the project does not have them: {dropped}."))
    text = "\n".join(lines).format(
        backbone=backbone,
        publisher=imported.publisher,
        names=_named(imported.known),
        new=_named(imported.new),
        dropped=_named(imported.dropped),
    )
    guesses = [tr("Guessed: {guess}").format(guess=guess) for guess in imported.guesses]
    if not imported.is_comparable:
        guesses.append(
            tr(
                "It may have learned from images of this project, so no score of it counts as evidence: the next "
                "fine-tune takes its place without a comparison."
            )
        )
    if imported.guesses:
        guesses.append(
            tr(
                "Where a guess is wrong, say it on the command line, and import the result: pspnet-studio "
                "import-weights {file} --out corrected.safetensors, with --align-corners true or false, --classes or "
                "--publisher."
            ).format(file=file_name)
        )
    return Notice(
        title, "\n".join([text, *guesses]), tr("The next fine-tune starts from it; Model > Network… chooses another.")
    )


def _named(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(names) - _MAX_NAMED
    text = ", ".join(names[:_MAX_NAMED])
    return tr("{names} and {count} more").format(names=text, count=more) if more > 0 else text
