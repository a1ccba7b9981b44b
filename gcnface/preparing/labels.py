"""Label maps of other people's teachers in our classes."""

import numpy as np

CLASS_OF_TEACHER_CLASS = np.array([0, 1, 2, 2, 3, 3, 4, 8, 8, 0, 5, 7, 6, 6, 0, 0, 0, 9, 0], np.uint8)
"""(19,) index into PARSING_CLASSES of each class of CelebAMask-HQ. Teacher: 0 background, 1 skin, 2/3 brows, 4/5 eyes,
6 glasses, 7/8 ears, 9 earring, 10 nose, 11 mouth interior, 12/13 lips, 14 neck, 15 necklace, 16 clothes, 17 hair,
18 hat."""
