/* A shared library that is no model. */
int answer(void) { return 42; }
