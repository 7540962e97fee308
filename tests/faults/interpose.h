#ifndef LUTRA_TESTS_FAULTS_INTERPOSE_H_
#define LUTRA_TESTS_FAULTS_INTERPOSE_H_

/* How a program is told, when it is started with the library of interpose.c in
   LD_PRELOAD, which of its calls fails. The environment variable

     LUTRA_FAULT = "CALL NUMBER ERROR LASTS"

   names a call by its number in this list, says which of them it is, counted
   from 1 where main begins, what becomes of it, and whether those after it
   fail, too (1) or not (0). ERROR is an errno or one of the effects below.
   LUTRA_FAULT_COUNTS names a file that gets how many calls of each kind there
   were, one number a line in the order of the list, when the program exits. */

enum lutra_call {
  LUTRA_CALL_ALLOCATE,
  LUTRA_CALL_OPEN,        /* also folders */
  LUTRA_CALL_OPEN_SYSTEM, /* of /proc and /sys */
  LUTRA_CALL_STAT,
  LUTRA_CALL_READ,
  LUTRA_CALL_MAP,   /* of files */
  LUTRA_CALL_WRITE, /* but to standard error */
  LUTRA_CALL_LOCK,
  LUTRA_CALL_CLOSE,
  LUTRA_CALL_RENAME,
  LUTRA_CALL_MAKE_FOLDER,
  LUTRA_CALL_THREAD,
  LUTRA_CALL_CLOCK,
  LUTRA_CALL_COUNT
};

enum lutra_effect {
  LUTRA_EFFECT_SHORT = 1000, /* half of a read or write is done */
  LUTRA_EFFECT_KILL,         /* SIGKILL in place of the call */
  LUTRA_EFFECT_FORWARD,      /* clocks are a day ahead, from now on */
  LUTRA_EFFECT_BACK          /* the clock of dates is a day behind */
};

#endif /* LUTRA_TESTS_FAULTS_INTERPOSE_H_ */
