"""A second program from which a folder is dragged: `python drag_source.py PATH...`; real XDND on X11."""

import sys

from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QDrag, QMouseEvent
from PySide6.QtWidgets import QApplication, QLabel


class Source(QLabel):
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(path) for path in sys.argv[1:]])
        drag = QDrag(self)
        drag.setMimeData(data)
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.CopyAction)


application = QApplication([])
label = Source("drag me")
label.setWindowTitle("drag source")
label.setWindowFlag(Qt.WindowType.WindowStaysOnTopHint)
label.setGeometry(10, 10, 160, 80)
label.show()
application.exec()
