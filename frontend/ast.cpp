#include "frontend/ast.h"
