// Holds the precompiled header (PCH.h).
