"""What the program begins with that PyInstaller makes: `fer-worker`, and each of its processes."""

import multiprocessing

from fer_worker.__main__ import main

if __name__ == "__main__":
    multiprocessing.freeze_support()  # a worker process of that program starts here, too
    main()
